/** `--no-overwrite` and `--interactive`: whether what is at OUTPUT may be replaced. */
import { openSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { ReadStream } from 'node:tty'
import { UsageError, oneLine } from './failure.ts'
import { STANDARD_STREAM, isObject, objectName } from './location.ts'
import type { TransferFlags } from './options.ts'
import { objects, statOf } from './places.ts'

/** OUTPUT is there, and stays as it is. */
export class NotReplaced extends Error {
  override readonly name = 'NotReplaced'
  readonly code = 'EEXIST'
}

const TERMINAL = process.platform === 'win32' ? '\\\\.\\CON' : '/dev/tty'

/**
 * Whether OUTPUT has to be new when it appears. Asks at the terminal where that is wanted.
 *
 * @throws NotReplaced where it is there and is not to be replaced; UsageError where nobody can be asked.
 */
export async function mustBeNew(
  output: string,
  { overwrite, interactive = false }: TransferFlags,
  signal: AbortSignal,
): Promise<boolean> {
  if ((overwrite !== false && !interactive) || output === STANDARD_STREAM) return false
  if (!(await isThere(output, signal))) return true
  if (overwrite === false) throw new NotReplaced('it is there already')
  if (!(await asked(`Replace ${oneLine(output)}? [y/N] `, signal))) throw new NotReplaced('it is there, and is kept')
  return false
}

/** What is no file (a device, a pipe) is not replaced, only written to. */
async function isThere(output: string, signal: AbortSignal): Promise<boolean> {
  if (!isObject(output)) return (await statOf(output))?.isFile() === true
  const { objectExists, s3Client } = await objects()
  return objectExists({ client: await s3Client(), name: objectName(output), signal })
}

let asking: Promise<unknown> = Promise.resolve()

/** One question after the other. */
function asked(question: string, signal: AbortSignal): Promise<boolean> {
  const answer = asking.then(() => ask(question, signal))
  asking = answer.catch(() => undefined)
  return answer
}

/** Standard input may be data: the terminal is asked itself. */
async function ask(question: string, signal: AbortSignal): Promise<boolean> {
  const terminal = openTerminal()
  const input = new ReadStream(terminal)
  // Lines come from the terminal as they are typed, so that its own keys (^C) do what they always do.
  const reader = createInterface({ input, terminal: false })
  try {
    writeSync(terminal, question)
    const ended = new Promise<string>((resolve) => {
      reader.once('close', () => {
        resolve('')
      })
    })
    return /^y(es)?$/i.test((await Promise.race([reader.question('', { signal }), ended])).trim())
  } finally {
    reader.close()
    input.destroy()
  }
}

function openTerminal(): number {
  try {
    return openSync(TERMINAL, 'r+')
  } catch {
    throw new UsageError('--interactive needs a terminal to ask at; without one, give --no-overwrite or neither')
  }
}
