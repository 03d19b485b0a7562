/** `esdk completion`: what the shells themselves complete by it. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { chmod, mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { delimiter } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { program } from '#lib/cli/program'
import { PREPARE_TIMEOUT_MS } from '../emulators/emulator.ts'
import { type Shell, shell } from '../emulators/shells.ts'
import { UnavailableError, preparedOrPending } from '../interop/pending.ts'
import { MAIN, esdk, temporaryFolder } from './command.ts'

const run = promisify(execFile)
const PATIENCE_MS = 15_000
const CONFIG = { profiles: { team: {}, audit: {} } }

/** Lines that are not complete, and what completes them: in every shell. */
const LINES: readonly (readonly [line: string, words: readonly string[]])[] = [
  ['esdk enc', ['encrypt']],
  ['esdk decrypt --verif', ['--verify-first']],
  ['esdk encrypt --rsa-padding oaep-sha5', ['oaep-sha512']],
  ['esdk reencrypt --suite 0x05', ['0x0578']],
  ['esdk encrypt --commitment-policy forb', ['forbid-encrypt-allow-decrypt']],
  ['esdk encrypt --profile ', ['audit', 'team']],
  ['esdk encrypt --key k', ['key file.jwk']],
  ['esdk completion ', ['bash', 'fish', 'zsh']],
  ['esdk help keyg', ['keygen']],
  ['esdk inspect mess', ['message']],
]

describe('esdk completion', () => {
  const folder = temporaryFolder()
  let env: NodeJS.ProcessEnv

  before(function () {
    if (process.platform === 'win32') this.skip()
  })

  beforeEach(async () => {
    await mkdir(folder.of('bin'))
    await chmod(MAIN, 0o755)
    await symlink(MAIN, folder.of('bin/esdk'))
    await writeFile(folder.of('esdk.config.json'), JSON.stringify(CONFIG))
    await writeFile(folder.of('key file.jwk'), '')
    await writeFile(folder.of('message'), '')
    env = { ...process.env, HOME: folder.path, PATH: `${folder.of('bin')}${delimiter}${process.env['PATH'] ?? ''}` }
  })

  it('takes the shells that there are, and no other', async () => {
    const { code, stderr } = await esdk(folder.path, ['completion', 'tcsh'])
    assert.match(stderr, /^esdk: .*'tcsh' is invalid.*Allowed choices are bash, zsh, fish/)
    assert.equal(code, 2)
    const none = await esdk(folder.path, ['completion'])
    assert.match(none.stderr, /missing required argument 'SHELL'/)
    assert.equal(none.code, 2)
  })

  /** What bash has in COMPREPLY for each line, whose last word is the one to complete. */
  async function inBash(lines: readonly string[]): Promise<string[][]> {
    const calls = lines.map((line) => {
      // As readline does: "=" is a word of its own.
      const words = line
        .split(' ')
        .flatMap((word) => word.split(/(=)/))
        .filter((word, index, all) => word !== '' || index === all.length - 1)
      const quoted = words.map((word) => `'${word}'`).join(' ')
      return `COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _esdk; printf '%s\\t' "\${COMPREPLY[@]}"; echo`
    })
    const script = `set -u; source <(esdk completion bash); ${calls.join('\n')}`
    const { stdout, stderr } = await run('bash', ['--norc', '-c', script], { cwd: folder.path, env })
    assert.equal(stderr, '')
    return stdout
      .split('\n')
      .slice(0, -1)
      .map((words) =>
        words
          .split('\t')
          .filter((word) => word !== '')
          .sort(),
      )
  }

  it('completes in bash commands, options, values and files', async () => {
    const more: readonly (readonly [string, readonly string[]])[] = [
      ['esdk encrypt --rsa-padding=pk', ['pkcs1']],
      ['esdk encrypt --rsa-padding=', ['oaep-sha1', 'oaep-sha256', 'oaep-sha384', 'oaep-sha512', 'pkcs1']],
      ['esdk encrypt --key-name ', []],
      ['esdk nonsense --', []],
      ['esdk --vers', ['--version']],
    ]
    const all = [...LINES, ...more]
    assert.deepEqual(
      await inBash(all.map(([line]) => line)),
      all.map(([, words]) => words),
    )
  })

  it('knows in bash every option of every command', async () => {
    const { commands } = program()
    const expected = commands.map(({ options }) =>
      [
        ...options.flatMap(({ short, long }) => [short, long]).filter((name) => name !== undefined),
        '-h',
        '--help',
      ].sort(),
    )
    assert.ok(expected.flat().length > 120)
    assert.deepEqual(await inBash(commands.map((command) => `esdk ${command.name()} -`)), expected)
  })

  it('runs nothing that a configuration holds', async () => {
    const profiles = { '$(touch ran)': {}, '`touch ran`': {} }
    await writeFile(folder.of('esdk.config.json'), JSON.stringify({ profiles }))
    assert.deepEqual(await inBash(['esdk encrypt --profile ']), [[]])
    // Nor would it, were such a name let through.
    await rename(folder.of('bin/esdk'), folder.of('bin/real'))
    const lax = `#!/bin/sh\n[ "$1" = profiles ] || exec "${folder.of('bin/real')}" "$@"\necho '$(touch ran)'\necho team\n`
    await writeFile(folder.of('bin/esdk'), lax, { mode: 0o755 })
    assert.deepEqual(await inBash(['esdk encrypt --profile ']), [['$(touch ran)', 'team']])
    assert.equal((await folder.names()).includes('ran'), false)
  })

  it('works in an interactive bash', async () => {
    const lines = [{ keys: 'complete -p esdk\n', shows: ['complete -F _esdk esdk'] }]
    await typed('bash', ['--norc', '--noediting'], env, '', lines)
  })

  it('completes in fish', async function () {
    this.timeout(PREPARE_TIMEOUT_MS)
    const fish = await preparedOrPending(this, () => optional(shell('fish')))
    const calls = LINES.map(([line]) => `complete -C '${line}' | string replace -r '\\t.*' ''; echo ==`)
    const script = `esdk completion fish | source\n${calls.join('\n')}`
    const { stdout, stderr } = await run(fish.path, ['-N', '-c', script], {
      cwd: folder.path,
      env: { ...env, ...fish.env },
    })
    assert.equal(stderr, '')
    const found = stdout.split('==\n').slice(0, -1)
    assert.deepEqual(
      found.map((text) => text.trim().split('\n').sort()),
      LINES.map(([, expected]) => expected),
    )
  })

  it('completes in zsh', async function () {
    this.timeout(PREPARE_TIMEOUT_MS)
    const zsh = await preparedOrPending(this, () => optional(shell('zsh')))
    const lines = LINES.map(([line, words]) => {
      const whole = (word: string): string => `${line.slice(0, line.lastIndexOf(' '))} ${word.replace(' ', '\\ ')}`
      return { keys: `${line}\t`, shows: words.length > 1 ? words : words.map(whole) }
    })
    await typed(zsh.path, ['-f', '-i', '+Z'], { ...env, ...zsh.env, TERM: 'dumb' }, zshSetUp(zsh), lines)
  })

  /** Runs an interactive shell at a terminal of its own, and waits for what it shows at what is typed. */
  async function typed(
    path: string,
    args: readonly string[],
    environment: NodeJS.ProcessEnv,
    setUp: string,
    lines: readonly { readonly keys: string; readonly shows: readonly string[] }[],
  ): Promise<void> {
    const name = path.endsWith('zsh') ? 'zsh' : 'bash'
    const command = [path, ...args].join(' ')
    const child = spawn('script', ['-qec', command, '/dev/null'], { cwd: folder.path, env: environment })
    let shown = ''
    child.stdout.on('data', (bytes: Buffer) => {
      // What only moves the cursor, or sets colours, is of no interest.
      // eslint-disable-next-line no-control-regex -- terminals are led by them
      shown += bytes.toString().replace(/\u001b\[[\d;?]*[A-Za-z]/g, '')
    })
    const type = async (keys: string, expected: readonly string[]): Promise<void> => {
      const from = shown.length
      const until = Date.now() + PATIENCE_MS
      child.stdin.write(keys)
      while (!expected.every((text) => shown.slice(from).includes(text))) {
        assert.ok(Date.now() < until, `${expected.join(', ')} not shown at ${JSON.stringify(keys)}, but ${shown}`)
        await setTimeout(20)
      }
    }
    try {
      await type(`${setUp}source <(esdk completion ${name}); PS1='READY''> '\n`, ['READY> '])
      for (const { keys, shows } of lines) await type(`\u0015${keys}`, shows) // the line before is given up
    } finally {
      child.stdin.end()
      child.kill()
    }
  }
})

/** What zsh needs to find its own parts where it was unpacked. Its line editor is one, so that it starts without it. */
function zshSetUp({ root }: Shell): string {
  const parts =
    root === ''
      ? ''
      : `module_path=(${root}/usr/lib/*/zsh/*); F=${root}/usr/share/zsh; fpath=($F/functions/**/*(/) $F/functions);\n`
  return `${parts}autoload -U compinit; compinit -D -u; setopt zle; `
}

/** Not every machine has these shells, or Debian's packages. */
async function optional(found: Promise<Shell>): Promise<Shell> {
  return found.catch((error: unknown) => {
    throw error instanceof UnavailableError ? new UnavailableError(error.message, { optional: true }) : error
  })
}
