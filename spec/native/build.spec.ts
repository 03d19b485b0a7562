/** The build of the addon as npm runs it on installation: it never fails, and never leaves anything that does not load. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { UnavailableError, preparedOrPending } from '../interop/pending.ts'

const root = resolve(import.meta.dirname, '../..')
const NO_COMPILER = { CC: '/nonexistent/cc' }

interface Outcome {
  readonly status: number | null
  readonly output: string
}

/** All of the C. */
const SOURCES = readdirSync(join(root, 'native')).filter((name) => /\.[ch]$/.test(name))

describe('native/build', () => {
  let folder: string

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'esdk-native-'))
    for (const name of readdirSync(join(root, 'native')).filter((name) => /\.(c|h|js)$/.test(name))) {
      cpSync(join(root, 'native', name), join(folder, name))
    }
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  })

  afterEach(() => {
    rmSync(folder, { recursive: true })
  })

  function build({ strict = false, env = {} }: { strict?: boolean; env?: Record<string, string> } = {}): Outcome {
    const args = [join(folder, 'build.js'), ...(strict ? ['--strict'] : [])]
    const { CC = 'cc' } = process.env
    const options = { env: { ...process.env, CC, ...env }, encoding: 'utf8' } as const
    const { status, stdout, stderr } = spawnSync(process.execPath, args, options)
    return { status, output: stdout + stderr }
  }

  function built(): string[] {
    const prebuilds = join(folder, 'prebuilds')
    if (!existsSync(prebuilds)) return []
    return readdirSync(prebuilds, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.includes('.node'))
      .map((name) => join(prebuilds, name))
  }

  it('without a compiler does nothing, and says nothing', () => {
    assert.deepEqual(build({ env: NO_COMPILER }), { status: 0, output: '' })
    assert.deepEqual(built(), [])
  })

  it('without a compiler in the checkout says so, and is no failure', () => {
    const { status, output } = build({ strict: true, env: NO_COMPILER })
    assert.equal(status, 0)
    assert.match(output, /^the frame cipher will be node:crypto's: there is no C compiler: .*\n$/)
  })

  it('comes with the package, and with all that it is made of', () => {
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
    const args = ['pack', '--dry-run', '--json', '--ignore-scripts']
    const [pack] = JSON.parse(
      execFileSync(npm, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    ) as [{ readonly files: readonly { readonly path: string }[] }] // what npm documents
    const packed = pack.files.map(({ path }) => path).filter((path) => path.startsWith('native/'))
    for (const name of ['build.js', ...SOURCES]) {
      assert.ok(packed.includes(`native/${name}`), name)
    }
    const made = existsSync(join(root, 'native/prebuilds'))
      ? readdirSync(join(root, 'native/prebuilds')).map((platform) => `native/prebuilds/${platform}/frame-cipher.node`)
      : []
    assert.deepEqual(packed.filter((path) => path.endsWith('.node')).sort(), made.sort())
  })

  it('has no binding.gyp at the root, which would make npm run node-gyp', () => {
    assert.ok(!existsSync(join(root, 'binding.gyp')))
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>
    } // our own
    assert.equal(scripts['install'], 'node native/build.js')
  })

  describe('with a compiler', () => {
    before(async function () {
      await preparedOrPending(this, async () => {
        await Promise.resolve()
        const { error } = spawnSync(process.env['CC'] ?? 'cc', ['--version'])
        if (error !== undefined)
          throw new UnavailableError(`building the native engine needs a C compiler: ${error.message}`)
      })
    })

    it('makes one file, which loads, from nothing but its own sources', () => {
      assert.deepEqual(build(), { status: 0, output: '' })
      assert.equal(built().length, 1)
      const program = 'console.log(Object.keys(require(process.argv[1])).join())'
      assert.equal(
        execFileSync(process.execPath, ['-e', program, built()[0]!], { encoding: 'utf8' }),
        'create,seal,open,end,sealOnce,openOnce,deriveTwo,random,signDigest\n',
      )
      for (const name of SOURCES) {
        const included = readFileSync(join(folder, name), 'utf8').replace(/#ifdef ESDK_WITH_HEADERS[\s\S]*?#else/g, '')
        const outside = [...included.matchAll(/#include <([^>]+)>/g)].map(([, header]) => header!)
        const standard = ['limits.h', 'stdbool.h', 'stddef.h', 'stdint.h', 'stdlib.h', 'string.h']
        assert.deepEqual(
          outside.filter((header) => !standard.includes(header)),
          [],
          name,
        )
      }
    })

    it('leaves alone what came with the package and loads', () => {
      build()
      const before = readFileSync(built()[0]!)
      appendFileSync(join(folder, 'addon.c'), '#error "compiled again"\n')
      assert.deepEqual(build({ env: NO_COMPILER }), { status: 0, output: '' })
      assert.deepEqual(build(), { status: 0, output: '' })
      assert.deepEqual(readFileSync(built()[0]!), before)
    })

    it('replaces what came with the package and does not load', () => {
      build()
      const good = built()[0]!
      writeFileSync(good, 'of another platform')
      assert.deepEqual(build(), { status: 0, output: '' })
      assert.deepEqual(built(), [good])
      assert.notEqual(readFileSync(good, 'latin1'), 'of another platform')
    })

    it('is silent where the compiler fails, but in the checkout', () => {
      appendFileSync(join(folder, 'addon.c'), '#error "broken"\n')
      assert.deepEqual(build(), { status: 0, output: '' })
      const { status, output } = build({ strict: true })
      assert.equal(status, 1)
      assert.match(output, /broken/)
      assert.deepEqual(built(), [])
    })

    it('takes warnings for errors in the checkout only', () => {
      appendFileSync(join(folder, 'addon.c'), 'static int unused;\n')
      assert.equal(build({ strict: true }).status, 1)
      assert.deepEqual(built(), [])
      assert.deepEqual(build(), { status: 0, output: '' })
      assert.equal(built().length, 1)
    })

    it('leaves nothing where Node has another OpenSSL than 3', () => {
      assert.deepEqual(build({ env: { CC: `${process.env['CC'] ?? 'cc'} -DESDK_OPENSSL_MAJOR=4` } }), {
        status: 0,
        output: '',
      })
      assert.deepEqual(built(), [])
    })

    it('leaves nothing where Node lacks a function', () => {
      assert.deepEqual(
        build({ env: { CC: `${process.env['CC'] ?? 'cc'} -DEVP_CipherFinal_ex=EVP_CipherFinal_none` } }),
        { status: 0, output: '' },
      )
      assert.deepEqual(built(), [])
    })
  })
})
