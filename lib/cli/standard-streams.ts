/** Standard input and output as a source and a target. */
import { fstat, read, write } from 'node:fs'
import { Writable } from 'node:stream'
import { promisify } from 'node:util'
import { type FileSource, blocksOf } from '../adapters/file-source.ts'
import { type FileTarget, type Writers, refuseSameFile, sinkOf } from '../adapters/file-target.ts'
import { OutputMemory } from '../streams/output-memory.ts'

const STDIN = 0
const STDOUT = 1

const stats = promisify(fstat)
const readDescriptor = promisify(read)
const writeDescriptor = promisify(write)

/** Standard input. A file is read in large blocks, everything else by the event loop, so that it can be given up. */
export async function standardInput(): Promise<FileSource> {
  const found = await stats(STDIN, { bigint: true })
  const bytes = found.isFile()
    ? blocksOf({ read: (...to: [Buffer, number, number, null]) => readDescriptor(STDIN, ...to) })
    : process.stdin
  return {
    bytes,
    stats: found,
    length: undefined, // of a file, someone may have read some already
    close: () => Promise.resolve(bytes === process.stdin ? void process.stdin.destroy() : undefined),
  }
}

/** @throws TypeError where it is the same file as the source. */
export async function standardOutput(source: FileSource): Promise<FileTarget> {
  const found = await stats(STDOUT, { bigint: true })
  if (found.isFile()) refuseSameFile(source.stats, found)
  const blocking = found.isFile() || (found.isCharacterDevice() && !process.stdout.isTTY)
  const memory = new OutputMemory()
  // Node writes to files and devices synchronously, and throws what they say.
  const writers = { write: (...from: Parameters<Writers['write']>) => writeDescriptor(STDOUT, ...from) }
  return {
    sink: blocking ? sinkOf(writers, memory) : forwarding(process.stdout),
    memory,
    direct: true,
    commit: () => Promise.resolve(),
    discard: () => Promise.resolve(),
  }
}

/** A stream that can be ended and destroyed, over one that can't. */
function forwarding(stream: NodeJS.WriteStream): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, callback) {
      stream.write(chunk, callback)
    },
  })
}
