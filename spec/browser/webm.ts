/** Videos for the specs: pictures that the browser encodes (VP8), each complete in itself, put together to a WebM file. */
import type { Page } from 'puppeteer-core'

const WIDTH = 320
const HEIGHT = 240
const FRAMES_PER_SECOND = 10

/** So many pictures there are; each is shown for a second, and then they begin anew. */
const PICTURES = 10

/** The grey of the left half of what is shown at a time, 0 to 255. */
export function greyAt(seconds: number): number {
  return 20 + 20 * (Math.floor(seconds) % PICTURES)
}

/** Runs in the browser. The left half of a picture is of one grey, the right half noise, which can't be compressed. */
const ENCODE = `(async () => {
  const context = new OffscreenCanvas(${WIDTH}, ${HEIGHT}).getContext('2d')
  const chunks = []
  let failure
  const encoder = new VideoEncoder({
    output: (chunk) => chunks.push(chunk),
    error: (error) => { failure = error },
  })
  const bitrate = 5_000_000
  encoder.configure({ codec: 'vp8', width: ${WIDTH}, height: ${HEIGHT}, bitrate, framerate: ${FRAMES_PER_SECOND} })
  const greys = ${JSON.stringify(Array.from({ length: PICTURES }, (_, second) => greyAt(second)))}
  for (const [second, grey] of greys.entries()) {
    const image = context.createImageData(${WIDTH}, ${HEIGHT})
    for (let at = 0; at < image.data.length; at++) {
      const noise = (at / 4) % ${WIDTH} >= ${WIDTH / 2}
      image.data[at] = at % 4 === 3 ? 255 : noise ? Math.random() * 256 : grey
    }
    context.putImageData(image, 0, 0)
    const frame = new VideoFrame(context.canvas, { timestamp: second * 1_000_000 })
    encoder.encode(frame, { keyFrame: true })
    frame.close()
  }
  await encoder.flush()
  if (failure !== undefined) throw failure
  return chunks.map((chunk) => {
    const bytes = new Uint8Array(chunk.byteLength)
    chunk.copyTo(bytes)
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
  })
})()`

/** The pictures, encoded by a browser. The page has to be of http://127.0.0.1, where browsers encode. */
export async function encodePictures(page: Page): Promise<Buffer[]> {
  const pictures = (await page.evaluate(ENCODE)) as string[] // what the program above gives
  return pictures.map((picture) => Buffer.from(picture, 'base64'))
}

/** A WebM file. Its index is in front: Chromium forgets one at the end when it is told to seek while it fetches that. */
export function webm(pictures: readonly Buffer[], seconds: number): Buffer {
  const information = element('1549a966', [
    element('2ad7b1', uint(1_000_000)), // nanoseconds in a unit of time
    element('4489', double(seconds * 1000)),
    element('4d80', text('spec')),
    element('5741', text('spec')),
  ])
  const size = [element('b0', uint(WIDTH)), element('ba', uint(HEIGHT))]
  const track = [element('d7', uint(1)), element('73c5', uint(1)), element('9c', uint(0)), element('83', uint(1))]
  const tracks = element('1654ae6b', [element('ae', [...track, element('86', text('V_VP8')), element('e0', size)])])
  const clusters = Array.from({ length: seconds }, (_, second) => cluster(pictures[second % pictures.length]!, second))

  const order = (cues: Buffer): Buffer[] => [information, tracks, cues, ...clusters]
  // Numbers have a fixed length, so that where things lie does not depend on where they lie.
  const unplaced = cuesOf(clusters, () => 0)
  const positions = new Map<Buffer, number>()
  let position = seekHeadOf([information, tracks, unplaced], () => 0).length
  for (const part of order(unplaced)) {
    positions.set(part, position)
    position += part.length
  }
  const at = (part: Buffer): number => positions.get(part)!
  const body = [seekHeadOf([information, tracks, unplaced], at), ...order(cuesOf(clusters, at))]
  return Buffer.concat([HEADER, element('18538067', body)])
}

/** One second of one picture. */
function cluster(picture: Buffer, second: number): Buffer {
  const blocks = Array.from({ length: FRAMES_PER_SECOND }, (_, frame) => {
    const head = Buffer.from([0x81, 0, 0, 0x80]) // of track 1; complete in itself
    head.writeInt16BE((frame * 1000) / FRAMES_PER_SECOND, 1)
    return element('a3', [head, picture])
  })
  return element('1f43b675', [element('e7', uint(second * 1000)), ...blocks])
}

/** Where to find which second. */
function cuesOf(clusters: readonly Buffer[], at: (cluster: Buffer) => number): Buffer {
  const points = clusters.map((cluster, second) => {
    const place = [element('f7', uint(1)), element('f1', uint(at(cluster)))]
    return element('bb', [element('b3', uint(second * 1000)), element('b7', place)])
  })
  return element('1c53bb6b', points)
}

/** Where to find what. */
function seekHeadOf(parts: readonly Buffer[], at: (part: Buffer) => number): Buffer {
  const seeks = parts.map((part) =>
    element('4dbb', [element('53ab', part.subarray(0, 4)), element('53ac', uint(at(part)))]),
  )
  return element('114d9b74', seeks)
}

/** An element of EBML: its id, its length as 8 bytes, its content. */
function element(id: string, content: Buffer | readonly Buffer[]): Buffer {
  const bytes = Buffer.isBuffer(content) ? content : Buffer.concat(content)
  const length = uint(bytes.length)
  length[0] = 0x01
  return Buffer.concat([Buffer.from(id, 'hex'), length, bytes])
}

function uint(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}

function double(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return bytes
}

function text(value: string): Buffer {
  return Buffer.from(value, 'latin1')
}

const HEADER = element('1a45dfa3', [
  ...['4286', '42f7'].map((id) => element(id, uint(1))), // version of EBML
  element('42f2', uint(4)), // longest id
  element('42f3', uint(8)), // longest length
  element('4282', text('webm')),
  element('4287', uint(4)),
  element('4285', uint(2)),
])
