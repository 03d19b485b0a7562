/** Numbers and cuts that look random and are the same in every run. */

/** mulberry32: numbers in 0 (included) to 1 (excluded). */
export function seededRandom(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}

/** `length` bytes from a seed. */
export function seededBytes(length: number, seed: number): Buffer {
  const random = seededRandom(seed)
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; at++) bytes[at] = random() * 256
  return bytes
}

/** `bytes` in pieces: single bytes, a few bytes, parts of a frame, many frames. A piece may be empty. */
export function cutAtRandom(bytes: Buffer, random: () => number): Buffer[] {
  const longest = [0, 1, 16, 300, 5000, Math.max(1, bytes.length >>> 2)]
  const pieces: Buffer[] = []
  let at = 0
  while (at < bytes.length) {
    const limit = longest[Math.floor(random() * longest.length)]!
    // Short pieces at first, where the header is; later few, so that a long message has some hundreds.
    const shortest = at < 2048 ? 0 : bytes.length >>> 10
    const length = Math.max(shortest, Math.round(random() * limit))
    pieces.push(bytes.subarray(at, at + length))
    at += length
  }
  return pieces
}
