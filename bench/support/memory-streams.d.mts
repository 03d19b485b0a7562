import type { Duplex, Readable, Transform } from 'node:stream'

/** Feeds bytes that are in memory, in chunks of 64 KiB; over and over, where `length` is more than they are. */
export function chunksOf(bytes: Buffer, length?: number): Readable
/** Copies each chunk into fresh memory: what a Transform costs that does nothing. */
export function copying(): Transform
/** Seconds that a source takes through a stream, and how many bytes come out. */
export function timeThrough(source: Readable, stream: Duplex): Promise<{ seconds: number; length: number }>
