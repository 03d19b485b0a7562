#!/usr/bin/env node
/** The command `esdk`: reads its arguments, listens to signals, and ends with the exit code that fits. */
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { decryptCommand } from './decrypt.ts'
import { encryptCommand } from './encrypt.ts'
import { EXIT, OutputClosed, asUsage, describeFailure, exitCodeOf } from './failure.ts'
import { inspectCommand } from './inspect.ts'
import { keygenCommand } from './keygen.ts'
import { reencryptCommand } from './reencrypt.ts'
import { tell } from './status-line.ts'

const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const
const PATIENCE_MS = 1000
const VERSION_ASKED = 'esdk.version'

/** Why everything is stopped. */
class Interruption extends Error {
  readonly signal: keyof typeof SIGNALS

  constructor(signal: keyof typeof SIGNALS) {
    super(`interrupted by ${signal}`)
    this.signal = signal
  }
}

const EPILOGUE = `
Exit codes: 0 done, 1 failed, 2 usage, 3 not authentic, 4 no key could wrap or unwrap a data key,
5 refused by policy or limit, 130 and 143 interrupted.

Examples:
  $ esdk keygen backup.jwk
  $ esdk encrypt backup.tar --key backup.jwk -c purpose=backup
  $ esdk inspect backup.tar.encrypted
  $ esdk decrypt backup.tar.encrypted --key backup.jwk
  $ esdk reencrypt -r s3://backups/ --key backup.jwk --to-kms alias/backups`

function program(signal: AbortSignal): Command {
  const command = new Command('esdk')
    .description(
      'Encrypts and decrypts files and objects of Amazon S3 in the message format of the AWS Encryption SDK.',
    )
    .option('-V, --version', 'show the version; with --json, as one record that names the engine too')
    .on('option:version', () => {
      throw new CommanderError(0, VERSION_ASKED, 'version')
    })
    .addHelpText('after', EPILOGUE)
  const transfers = [encryptCommand(signal), decryptCommand(signal), reencryptCommand(signal)]
  for (const sub of [keygenCommand(), ...transfers, inspectCommand(signal)]) command.addCommand(sub)
  for (const each of [command, ...command.commands]) {
    each.exitOverride().configureOutput({
      outputError: (text, write) => {
        write(`esdk: ${text.replace(/^error: /, '').trim()}; see "${helpOf(each)}"\n`)
      },
    })
  }
  return command
}

function helpOf(command: Command): string {
  return command.parent === null ? 'esdk --help' : `esdk ${command.name()} --help`
}

/** What `--version --json` prints. */
export interface VersionRecord {
  readonly version: string
  /** What seals and opens frames here: see ESDK_ENGINE in docs/performance.md. */
  readonly engine: 'native' | 'node'
  readonly node: string
  readonly openssl: string
}

async function showVersion(json: boolean): Promise<void> {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const { version } = JSON.parse(text) as { version: string } // our own file
  if (!json) {
    process.stdout.write(`${version}\n`)
    return
  }
  const { frameCipherEngine } = await import('../crypto/frame-cipher-engine.ts')
  const { name: engine } = asUsage(frameCipherEngine)
  const { node, openssl } = process.versions
  const record: VersionRecord = { version, engine, node, openssl }
  process.stdout.write(`${JSON.stringify(record)}\n`)
}

/**
 * The first signal stops the work and cleans up. Others with it are copies of the same one (a terminal's, and npm's);
 * one that comes later ends the process at once, as if nobody listened.
 */
function abortOnSignals(controller: AbortController): void {
  const names = Object.keys(SIGNALS) as (keyof typeof SIGNALS)[] // the keys of a constant
  const stopListening = (): void => {
    for (const name of names) process.removeAllListeners(name)
  }
  for (const name of names) {
    process.on(name, () => {
      if (controller.signal.aborted) return
      controller.abort(new Interruption(name))
      setTimeout(stopListening, PATIENCE_MS).unref()
    })
  }
}

function exitCodeFor(error: unknown, signal: AbortSignal): number {
  if (signal.aborted && signal.reason instanceof Interruption) return SIGNALS[signal.reason.signal]
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage
  if (error instanceof OutputClosed) return EXIT.done
  tell(`esdk: ${describeFailure(error)}\n`)
  return exitCodeOf(error)
}

async function answer(signal: AbortSignal): Promise<void> {
  try {
    await program(signal).parseAsync()
  } catch (error) {
    if (!(error instanceof CommanderError) || error.code !== VERSION_ASKED) throw error
    await showVersion(process.argv.includes('--json'))
  }
}

async function main(): Promise<number> {
  const controller = new AbortController()
  abortOnSignals(controller)
  // A reader of stderr or stdout that goes away is told to whoever writes.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
  try {
    await answer(controller.signal)
    return EXIT.done
  } catch (error) {
    return exitCodeFor(error, controller.signal)
  }
}

// A pipe that nobody reads, or one that nobody writes to, would keep the process otherwise.
void main().then((code) => process.exit(code))
