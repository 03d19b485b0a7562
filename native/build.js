/**
 * Builds the native frame cipher for this platform, with the C compiler that is there; nothing is downloaded.
 *
 *     node native/build.js             what npm runs on installation: only where no binary that loads has come with the
 *                                      package, silent, and never a failure; node:crypto serves where there is none
 *     node native/build.js --strict    what the checkout runs: always anew, warnings are errors, and so is an addon
 *                                      that does not load; only a missing compiler is none
 *
 * `CC` names another compiler. The result is prebuilds/PLATFORM-ARCH[-musl]/frame-cipher.node, which `npm pack` ships.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const SOURCES = [
  'aead.c',
  'addon.c',
  'addon-frames.c',
  'addon-keys.c',
  'addon-signature.c',
  'arguments.c',
  'frame-cipher.c',
  'key-derivation.c',
  'signature.c',
]
const WARNINGS = ['-Wall', '-Wextra']
const COMPILE = ['-std=c11', '-O2', '-fPIC', '-fvisibility=hidden', '-fstack-protector-strong']
// All symbols are looked up at once: a Node that lacks one refuses to load the addon, rather than dying in a call.
const LINK = {
  linux: ['-shared', '-s', '-Wl,-z,now', '-Wl,-z,relro', '-Wl,-z,noexecstack'],
  darwin: ['-bundle', '-undefined', 'dynamic_lookup', '-Wl,-bind_at_load'],
}
const PATIENCE_MS = 120_000

const folder = dirname(fileURLToPath(import.meta.url))
const strict = process.argv.includes('--strict')

/** Where the addon of this platform lies; lib/crypto/native-addon.ts looks there. */
function target() {
  const { glibcVersionRuntime } = process.report.getReport().header
  const musl = process.platform === 'linux' && glibcVersionRuntime === undefined ? '-musl' : ''
  return join(folder, 'prebuilds', `${process.platform}-${process.arch}${musl}`, 'frame-cipher.node')
}

/** Whether this Node takes it, tried in a process of its own. */
function loads(file) {
  const env = { ...process.env, NODE_OPTIONS: '' }
  const options = { env, stdio: 'ignore', timeout: PATIENCE_MS }
  return spawnSync(process.execPath, ['-e', 'require(process.argv[1])', file], options).status === 0
}

/** Compiles beside the target and then renames, so that a process that has it loaded keeps its own. */
function build(file) {
  const link = LINK[process.platform]
  if (link === undefined) return { built: false, reason: `there is no native engine for ${process.platform}` }
  const made = join(dirname(file), `${process.pid}.node`)
  const [compiler, ...rest] = (process.env['CC'] ?? 'cc').split(' ').filter((word) => word !== '')
  const flags = [...rest, ...COMPILE, ...WARNINGS, ...(strict ? ['-Werror'] : []), ...SOURCES, ...link, '-o', made]
  try {
    mkdirSync(dirname(file), { recursive: true })
    const { error, status, stderr } = spawnSync(compiler, flags, {
      cwd: folder,
      encoding: 'utf8',
      timeout: PATIENCE_MS,
    })
    if (error !== undefined) return { built: false, reason: `there is no C compiler: ${error.message}` }
    if (status !== 0) return { built: false, failed: true, reason: stderr }
    if (!loads(made)) return { built: false, failed: true, reason: 'this Node does not load what was built' }
    renameSync(made, file)
    return { built: true }
  } finally {
    rmSync(made, { force: true })
  }
}

try {
  const file = target()
  if (strict || !loads(file)) {
    const { built, failed = false, reason } = build(file)
    if (!built && strict) process.stderr.write(`the frame cipher will be node:crypto's: ${reason}\n`)
    if (failed && strict) process.exitCode = 1
  }
} catch (error) {
  if (strict) throw error
}
