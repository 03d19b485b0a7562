/** What becomes of a file that is there: `--no-overwrite` and `--interactive`; and what files are called: `--suffix`. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { AES_JWK, MAIN, commandsIn, outcome, start, temporaryFolder } from './command.ts'

const KEY = ['--key', 'key.jwk'] as const
const isLinux = process.platform === 'linux'

describe('what esdk writes', () => {
  const folder = temporaryFolder()

  beforeEach(async () => {
    await writeFile(folder.of('key.jwk'), AES_JWK)
    await writeFile(folder.of('in'), 'plaintext')
    await writeFile(folder.of('target'), 'old')
  })

  const { run, done, fails } = commandsIn(() => folder.path)

  describe('with --no-overwrite', () => {
    const NEW = [...KEY, '--no-overwrite'] as const

    it('is a new file, or nothing', async () => {
      await fails(
        1,
        /^esdk: target: it is there already \(EEXIST\); choose another name/,
        'encrypt',
        'in',
        '-o',
        'target',
        ...NEW,
      )
      await done('encrypt', 'in', '-o', 'new', ...NEW)
      assert.deepEqual(await done('decrypt', 'new', '-o', '-', ...NEW), Buffer.from('plaintext'))
      assert.equal((await stat(folder.of('new'))).nlink, 1)
      assert.deepEqual(await folder.names(), ['in', 'key.jwk', 'new', 'target'])
    })

    it('is no file that came meanwhile, either', async () => {
      const child = start(folder.path, ['encrypt', '-', '-o', 'meanwhile', ...NEW])
      const ended = outcome(child)
      while (!(await folder.names()).some((name) => name.endsWith('.tmp'))) await setTimeout(2)
      await writeFile(folder.of('meanwhile'), 'faster')
      child.stdin!.end('slower')
      const { code, stderr } = await ended
      assert.match(stderr, /^esdk: meanwhile: EEXIST: .*is there already/)
      assert.equal(code, 1)
      assert.equal(await readFile(folder.of('meanwhile'), 'utf8'), 'faster')
      assert.deepEqual(await folder.names(), ['in', 'key.jwk', 'meanwhile', 'target'])
    })

    it('may be a device or a pipe, which is not replaced', async function () {
      if (!isLinux) this.skip()
      await done('encrypt', 'in', '-o', '/dev/null', ...NEW)
    })

    it('leaves out files of a folder that are there, and says so', async () => {
      await mkdir(folder.of('tree'))
      await writeFile(folder.of('tree/a'), 'a')
      await writeFile(folder.of('tree/b'), 'b')
      await mkdir(folder.of('out'))
      await writeFile(folder.of('out/a.encrypted'), 'kept')
      const { code, stderr } = await run('encrypt', '-r', 'tree', '-o', 'out', ...NEW)
      assert.equal(stderr, 'esdk: tree/a: skipped: out/a.encrypted is there already\n')
      assert.equal(code, 0)
      assert.equal(await readFile(folder.of('out/a.encrypted'), 'utf8'), 'kept')
      assert.equal((await done('decrypt', 'out/b.encrypted', '-o', '-', ...KEY)).toString(), 'b')
    })

    it('does not go with what is there to replace', async () => {
      await fails(
        2,
        /--no-overwrite: without -o, reencrypt replaces INPUT/,
        'reencrypt',
        'target',
        '--to-key',
        'key.jwk',
        ...NEW,
      )
      await fails(2, /--interactive asks, --no-overwrite does not/, 'encrypt', 'in', '--interactive', ...NEW)
    })
  })

  describe('with --interactive', () => {
    /** Runs the command at a terminal of its own, where someone types. */
    async function typed(text: string, ...args: string[]): Promise<{ code: number | null; shown: string }> {
      const command = [process.execPath, MAIN, ...args].map((part) => `'${part}'`).join(' ')
      const child = spawn('script', ['-qec', command, '/dev/null'], { cwd: folder.path })
      let shown = ''
      child.stdout.on('data', (bytes: Buffer) => {
        const before = shown
        shown += bytes.toString()
        if (!before.includes('[y/N]') && shown.includes('[y/N]')) child.stdin.write(text)
      })
      const [code] = (await once(child, 'close')) as [number | null]
      return { code, shown }
    }

    const replace = ['encrypt', 'in', '-o', 'target', ...KEY, '--interactive'] as const

    before(function () {
      if (!isLinux) this.skip()
    })

    it('replaces a file when someone says so at the terminal', async () => {
      const { code, shown } = await typed('y\n', ...replace)
      assert.match(shown, /Replace target\? \[y\/N\]/)
      assert.equal(code, 0)
      assert.deepEqual(await done('decrypt', 'target', '-o', '-', ...KEY), Buffer.from('plaintext'))
    })

    it('keeps it at any other answer, or none', async () => {
      for (const text of ['n\n', '\n', 'yellow\n', '\u0004']) {
        const { code, shown } = await typed(text, ...replace)
        assert.match(shown, /esdk: target: it is there, and is kept \(EEXIST\)/)
        assert.equal(code, 1)
        assert.equal(await readFile(folder.of('target'), 'utf8'), 'old')
      }
      assert.deepEqual(await folder.names(), ['in', 'key.jwk', 'target'])
    })

    it('asks nothing of a new file, and ends at ^C', async () => {
      const { code, shown } = await typed('', 'encrypt', 'in', '-o', 'new', ...KEY, '--interactive', '--quiet')
      assert.deepEqual([code, shown], [0, ''])
      assert.equal((await typed('\u0003', ...replace)).code, 130)
      assert.equal(await readFile(folder.of('target'), 'utf8'), 'old')
    })

    it('asks for each file of a folder, one after the other, and data may come through stdin meanwhile', async () => {
      await mkdir(folder.of('tree'))
      await mkdir(folder.of('out'))
      for (const name of ['a', 'b']) {
        await writeFile(folder.of(`tree/${name}`), name)
        await writeFile(folder.of(`out/${name}.encrypted`), 'kept')
      }
      const { code, shown } = await typed('n\ny\n', 'encrypt', '-r', 'tree', '-o', 'out', ...KEY, '--interactive')
      assert.equal(code, 0)
      assert.equal(shown.match(/\[y\/N\]/g)?.length, 2)
      const kept = await Promise.all(['a', 'b'].map((name) => readFile(folder.of(`out/${name}.encrypted`), 'utf8')))
      assert.equal(kept.filter((text) => text === 'kept').length, 1)
    })

    it('fails where there is no terminal to ask at', async () => {
      // A session of its own has no terminal.
      const args = [process.execPath, MAIN, ...replace]
      const child = spawn('setsid', ['--wait', ...args], { cwd: folder.path, stdio: ['ignore', 'pipe', 'pipe'] })
      const { code, stderr } = await outcome(child)
      assert.match(stderr, /--interactive needs a terminal to ask at; without one, give --no-overwrite/)
      assert.equal(code, 2)
    })
  })

  describe('with --suffix', () => {
    it('is called so, and loses it again', async () => {
      await done('encrypt', 'in', ...KEY, '--suffix', '.esdk')
      await done('decrypt', 'in.esdk', ...KEY, '--suffix', '.esdk')
      await done('decrypt', 'in.esdk', ...KEY)
      assert.deepEqual(await folder.names(), ['in', 'in.esdk', 'in.esdk.decrypted', 'key.jwk', 'target'])
    })

    it('keeps its name in another folder where it is empty', async () => {
      await mkdir(folder.of('tree'))
      await writeFile(folder.of('tree/a.txt'), 'a')
      await done('encrypt', '-r', 'tree', '-o', 'out', ...KEY, '--suffix', '')
      await done('decrypt', '-r', 'out', '-o', 'back', ...KEY, '--suffix=')
      assert.equal(await readFile(folder.of('back/a.txt'), 'utf8'), 'a')
      assert.notEqual(await readFile(folder.of('out/a.txt'), 'utf8'), 'a')
    })

    it('is refused where it names nothing, or a path', async () => {
      await fails(2, /INPUT and OUTPUT may not be the same file/, 'encrypt', 'in', ...KEY, '--suffix', '')
      await fails(
        2,
        /--suffix is for names that are not given/,
        'encrypt',
        'in',
        '-o',
        'target',
        ...KEY,
        '--suffix',
        '.x',
      )
      await fails(2, /--suffix \/x: expected the end of a name/, 'encrypt', 'in', ...KEY, '--suffix', '/x')
    })
  })

  it('is the same on file systems that have no links', function () {
    // What link() says there is said here by a file system that can't be had in every place: see file-target.ts.
    if (!isLinux) this.skip()
    const program = `
      const fs = require('node:fs/promises')
      fs.link = () => Promise.reject(Object.assign(new Error('no links'), { code: 'EPERM' }))
      require('node:module').syncBuiltinESMExports()
      const target = process.argv[1] === 'kept' ? 'target' : 'fresh'
      import(${JSON.stringify(new URL('../../dist/adapters/file-target.js', import.meta.url).href)}).then(async ({ openFileTarget }) => {
        const opened = await openFileTarget('fresh', {}, { exclusive: true })
        opened.sink.end('new')
        await new Promise((resolve) => opened.sink.once('finish', resolve))
        if (process.argv[1] === 'kept') await fs.writeFile('fresh', 'faster')
        await opened.commit().then(() => console.log('committed'), async (error) => {
          await opened.discard()
          console.log(error.code)
        })
      })`
    const node = (how: string): string =>
      execFileSync(process.execPath, ['-e', program, how], { cwd: folder.path, encoding: 'utf8' }).trim()
    assert.equal(node('made'), 'committed')
    assert.equal(execFileSync('cat', [folder.of('fresh')], { encoding: 'utf8' }), 'new')
    execFileSync('rm', [folder.of('fresh')])
    assert.equal(node('kept'), 'EEXIST')
    assert.equal(execFileSync('cat', [folder.of('fresh')], { encoding: 'utf8' }), 'faster')
  })
})
