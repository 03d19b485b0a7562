/** What each question is called, and how its numbers came about. */
import type { QuestionName } from './measurement.ts'

interface Title {
  readonly title: string
  readonly how: string
  /** Axes that make a plot of their own; the others are bars' groups in it. */
  readonly plotBy: readonly string[]
}

const FLOORS =
  'A floor is what the same bytes take without a library: the frames over a bare OpenSSL (one context in C, keyed once) ' +
  'or over node:crypto, a Transform that only copies its chunks into fresh memory, and of signed messages SHA-384. ' +
  '“Of the floor” is the speed in per cent of what these take one after the other: OpenSSL (for the node engine ' +
  'node:crypto), the copying Transform and, signed, SHA-384.'

export const TITLES: Readonly<Record<QuestionName, Title>> = {
  throughput: {
    title: 'Streams in process',
    how: `Chunks of 64 KiB from memory through one stream, against @aws-crypto/client-node. ${FLOORS}`,
    plotBy: ['suite'],
  },
  'small-messages': {
    title: 'Small messages',
    how: 'Whole messages in memory, one after the other, each with its own data key under a raw AES key.',
    plotBy: ['suite'],
  },
  files: {
    title: 'File to file',
    how:
      'encryptFile and decryptFile on files in memory (/dev/shm): unsigned, frames of 64 KiB. Of esdk-streams the work in ' +
      'a running process counts, and the whole process too; of the others the process. cp, cat and openssl, which ' +
      'authenticates nothing, are floors.',
    plotBy: [],
  },
  'event-loop': {
    title: 'The event loop and memory while four streams run',
    how:
      'The worst of the runs, each a process of its own, as monitorEventLoopDelay with a resolution of 1 ms has it; the ' +
      'most memory that a process had, Node’s own included. Frames are of the default length.',
    plotBy: ['suite'],
  },
  peers: {
    title: 'The SDKs of other languages',
    how: 'Whole messages in memory; each library in a process of its own that times itself, so that no start counts.',
    plotBy: ['suite'],
  },
  cores: {
    title: 'Over several cores',
    how: 'Each process or worker thread encrypts as much, unsigned, at the default frame length; speeds are added up.',
    plotBy: [],
  },
}
