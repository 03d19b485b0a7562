/** The C of the addon under sanitizers and valgrind, and beside the real headers: with ESDK_FULL=1 only. */
import assert from 'node:assert/strict'
import { type SpawnSyncReturns, execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { UnavailableError, preparedOrPending } from '../interop/pending.ts'

const root = resolve(import.meta.dirname, '../..')
const native = join(root, 'native')
const SOURCES = readdirSync(native)
  .filter((name) => name.endsWith('.c'))
  .map((name) => join(native, name))
/** What knows nothing of Node. */
const CORE = [
  join(import.meta.dirname, 'harness.c'),
  ...SOURCES.filter((path) => !/addon|arguments/.test(basename(path))),
]
const STRICT = ['-std=c11', '-g', '-Wall', '-Wextra', '-Werror']
const SANITIZERS = ['-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer']
const VALGRIND = ['--quiet', '--error-exitcode=9', '--leak-check=full', '--show-leak-kinds=definite,possible']

function run(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): SpawnSyncReturns<string> {
  return spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, ...env }, cwd: root })
}

function succeeds(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): string {
  const { status, stdout, stderr, error } = run(command, args, env)
  assert.equal(status, 0, error?.message ?? stdout + stderr)
  assert.equal(stderr, '')
  return stdout
}

if (process.env['ESDK_FULL'] === '1') {
  describe('native/ under sanitizers', function () {
    this.timeout(300_000)
    let folder: string

    before(async function () {
      folder = mkdtempSync(join(tmpdir(), 'esdk-sanitizers-'))
      await preparedOrPending(this, async () => {
        await Promise.resolve()
        for (const tool of ['cc', 'valgrind']) {
          if (run(tool, ['--version']).error !== undefined) throw new UnavailableError(`sanitizers need "${tool}"`)
        }
        const { status } = run('cc', [...CORE, '-lcrypto', '-o', join(folder, 'probe')])
        if (status !== 0) throw new UnavailableError('sanitizers need the library of OpenSSL 3 (libssl-dev)')
      })
    })

    after(() => {
      rmSync(folder, { recursive: true })
    })

    it('is clean under AddressSanitizer and UndefinedBehaviorSanitizer', () => {
      const program = join(folder, 'sanitized')
      succeeds('cc', [...STRICT, ...SANITIZERS, ...CORE, '-lcrypto', '-o', program])
      assert.equal(succeeds(program, ['5000']), '5000 rounds\n')
    })

    it('is clean under valgrind, and leaks nothing', () => {
      const program = join(folder, 'plain')
      succeeds('cc', [...STRICT, '-O1', ...CORE, '-lcrypto', '-o', program])
      assert.equal(succeeds('valgrind', [...VALGRIND, program, '100']), '100 rounds\n')
    })

    it('is clean in Node itself, whatever it is called with', () => {
      const target = join(folder, 'frame-cipher.node')
      succeeds('cc', [...STRICT, ...SANITIZERS, '-fPIC', '-shared', ...SOURCES, '-o', target])
      const runtime = ['libasan.so', 'libubsan.so'].map((name) =>
        execFileSync('cc', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim(),
      )
      const env = { LD_PRELOAD: runtime.join(' '), ASAN_OPTIONS: 'detect_leaks=0', NODE_OPTIONS: '' }
      assert.equal(
        succeeds(process.execPath, [join(import.meta.dirname, 'fuzz.mjs'), target, '200000'], env),
        '200000 calls\n',
      )
    })

    it('is refused at once by a process that lacks the functions, even if it looks them up late', () => {
      const [addon] = ['', '-musl']
        .map((suffix) => join(native, 'prebuilds', `${process.platform}-${process.arch}${suffix}`, 'frame-cipher.node'))
        .filter((file) => existsSync(file))
      const program = join(folder, 'load-without-node')
      succeeds('cc', [...STRICT, join(import.meta.dirname, 'load-without-node.c'), '-ldl', '-o', program])
      assert.match(succeeds(program, [addon!]), /undefined symbol/)
    })

    it('declares what Node and OpenSSL declare', async function () {
      const headers = await preparedOrPending(this, async () => {
        await Promise.resolve()
        const folder = join(dirname(process.execPath), '..', 'include', 'node')
        if (existsSync(join(folder, 'node_api.h')) && existsSync(join(folder, 'openssl', 'evp.h'))) return folder
        throw new UnavailableError(`the headers of Node are not in ${folder}`)
      })
      for (const source of SOURCES) {
        const output = join(folder, `${basename(source)}.o`)
        succeeds('cc', [...STRICT, '-DESDK_WITH_HEADERS', `-I${headers}`, '-c', source, '-o', output])
      }
    })
  })
}
