/** Progress as it is seen in a real terminal. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { PREPARE_TIMEOUT_MS } from '../emulators/emulator.ts'
import { Terminal, tmuxProgram } from '../emulators/tmux.ts'
import { preparedOrPending } from '../interop/pending.ts'
import { AES_JWK, MAIN, temporaryFolder } from './command.ts'

const LENGTH = 100_000_000
const ESDK = `'${process.execPath}' '${MAIN}'`

/** Reads half, waits until someone writes to `go`, and reads the rest. */
const HALF_SCRIPT = 'head -c 50000000 >/dev/null\ncat go\ncat >/dev/null\n'
const BAR = /^encrypting █+░+ [345]\d% of 100 MB [\d.]+ MB\/s \d+ (s|min) left *$/m

describe('progress in a terminal', function () {
  const folder = temporaryFolder()
  let program: Awaited<ReturnType<typeof tmuxProgram>>
  let terminal: Terminal

  before(async function () {
    this.timeout(PREPARE_TIMEOUT_MS)
    program = await preparedOrPending(this, tmuxProgram)
  })

  beforeEach(async () => {
    await writeFile(folder.of('key.jwk'), AES_JWK)
    await writeFile(folder.of('in'), '')
    await truncate(folder.of('in'), LENGTH)
    await writeFile(folder.of('half.sh'), HALF_SCRIPT)
    await writeFile(folder.of('esdk'), `echo $$ >pid\nexec ${ESDK} "$@"\n`)
    execFileSync('mkfifo', [folder.of('go')])
    terminal = await Terminal.open(program, folder.path)
  })

  afterEach(() => terminal.close())

  /** Begins a line on an empty screen, so that all that is seen comes after it. */
  const begin = (line: string): Promise<void> => terminal.type(`clear; ${line}`)
  const halfWay = 'sh esdk encrypt in -o - --key key.jwk | sh half.sh'

  it('is a bar half way, and a full one at the end, with the cursor where it belongs', async () => {
    await begin(halfWay)
    assert.match(await terminal.until(BAR), /^encrypting [█░]{24} [345]\d% of 100 MB/)
    await writeFile(folder.of('go'), '')
    const screen = await terminal.until(/\n\$ $/)
    assert.match(screen, /^encrypting █{24} 100% of 100 MB [\d.]+ .?B\/s *\n\$ $/)
    assert.ok(await terminal.isCursorVisible())
  })

  it('is in colour, but not with NO_COLOR; nothing with --quiet, --progress never, TERM=dumb, or stderr elsewhere', async () => {
    await begin(halfWay)
    assert.ok((await terminal.until(/[345]\d% of/, { styled: true })).includes('\u001b[36m█'))
    await writeFile(folder.of('go'), '')
    await terminal.until(/\n\$ $/)
    await begin(`NO_COLOR=1 ${halfWay}`)
    assert.ok(!(await terminal.until(/[345]\d% of/, { styled: true })).includes('\u001b[3'))
    await writeFile(folder.of('go'), '')
    await terminal.until(/\n\$ $/)
    const encrypting = 'sh esdk encrypt half.sh -o out --key key.jwk'
    for (const [before, after] of [
      ['', '--quiet'],
      ['', '--progress never'],
      ['TERM=dumb', ''],
      ['', '2>errors'],
    ]) {
      await begin(`${before} ${encrypting} ${after}; echo done`)
      assert.match(await terminal.until(/\$ $/), /^done *\n\$ $/)
    }
    assert.equal(await readFile(folder.of('errors'), 'utf8'), '')
  })

  it('turns, where the length is not known', async () => {
    await begin(`(head -c 5000000 /dev/zero; cat go) | sh esdk encrypt - -o out --key key.jwk`)
    const seen = new Set<string>()
    while (seen.size < 3) seen.add(/^([|/\\-]) encrypting 5\.0 MB/.exec(await terminal.until(/ 5\.0 MB \d/))![1]!)
    await writeFile(folder.of('go'), '')
    const screen = await terminal.until(/\n\$ $/)
    assert.match(screen, /^. encrypting 5\.0 MB \d.*\n\$ $/)
  })

  for (const how of ['Ctrl-C', 'SIGTERM']) {
    it(`leaves a clean terminal after ${how}`, async () => {
      await begin(`${halfWay}; echo end`)
      await terminal.until(BAR)
      if (how === 'Ctrl-C') await terminal.press('C-c')
      else process.kill(Number(await readFile(folder.of('pid'), 'utf8')), 'SIGTERM')
      if (how === 'SIGTERM') await writeFile(folder.of('go'), '')
      const screen = await terminal.until(/\$ $/)
      assert.match(screen, how === 'SIGTERM' ? /^end *\n\$ $/ : /^ *\n?\$ $/)
      assert.ok(await terminal.isCursorVisible())
      // Lines that are too long are wrapped, as they were before.
      await begin(`printf '%090d\\n' 0`)
      assert.match(await terminal.until(/0 *\n\$ $/), /^0{80}\n0{10} *\n\$ $/)
    })
  }

  it('leaves nothing but the error after a failure', async () => {
    await writeFile(folder.of('cut'), '')
    await begin(
      `sh esdk encrypt in -o cut --key key.jwk --quiet; truncate -s 90000000 cut; sh esdk decrypt cut -o out --key key.jwk`,
    )
    const screen = await terminal.until(/get it again *\n\$ $/)
    assert.match(screen, /^esdk: cut: the input ended inside the message[^$]*\n\$ $/)
    assert.doesNotMatch(screen, /[█░]/)
  })

  it('fits into a narrow window, and stays one line when the window becomes narrower and wider', async () => {
    await begin(halfWay)
    await terminal.until(BAR)
    for (const [columns, expected] of [
      [60, /^encrypting [█░]{10} [345]\d% of 100 MB \d/],
      [48, /^[█░]{10} [345]\d% of 100 MB \d/],
      [24, /^([█░]{10} )?[345]\d% \d+ \w+ left/],
      [6, /^[345]\d%/],
      [100, /^encrypting [█░]{24} [345]\d% of 100 MB \d/],
    ] as const) {
      await terminal.resize(columns)
      const screen = await terminal.until(expected)
      assert.equal(screen.split('\n').length, 1, screen)
    }
    await writeFile(folder.of('go'), '')
    assert.match(await terminal.until(/\n\$ $/), /^encrypting █{24} 100% of 100 MB.*\n\$ $/)
  })

  it('has a line for each of many files, failures among them, and a total', async () => {
    await mkdir(folder.of('tree'))
    for (const name of ['a', 'b', 'c']) await writeFile(folder.of(`tree/${name}`), 'x'.repeat(1000))
    await writeFile(folder.of('tree/large'), '')
    await truncate(folder.of('tree/large'), 4 * LENGTH)
    await begin('sh esdk encrypt -r tree -o sealed --key key.jwk')
    // While the large one is under way:
    await terminal.until(/^[|/\\-] 3 files \d+.* .?B\/s *$/m)
    const screen = await terminal.until(/total.*\n\$ $/)
    const lines = screen.split('\n').map((line) => line.trimEnd())
    assert.deepEqual(lines.slice(0, 4).sort(), [
      ...['a', 'b', 'c'].map((name) => `encrypted tree/${name} → sealed/${name}.encrypted 1.0 kB`),
      'encrypted tree/large → sealed/large.encrypted 400 MB',
    ])
    assert.match(lines.slice(4).join('\n'), /^total: 4 of 4 files, 400 MB, \d+\.\d s\n\$$/)

    await truncate(folder.of('sealed/b.encrypted'), 100)
    await begin('sh esdk decrypt -r sealed -o back --key key.jwk --concurrency 1')
    const failing = (await terminal.until(/3 of 4|1 of 4 files failed.*\n\$ $/s)).replaceAll(/ +$/gm, '')
    assert.equal([...failing.matchAll(/^esdk: sealed\/b\.encrypted: the input ended/gm)].length, 1, failing)
    assert.equal([...failing.matchAll(/^decrypted sealed/gm)].length, 3, failing)
    assert.doesNotMatch(failing, /^[|/\\-] \d+ file/m)
  })
})
