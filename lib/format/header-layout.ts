/** Where each part of a header stands: data-format/message-header.md. For headers that were cut, too. */
import { IV_BYTES, TAG_BYTES } from './header-authentication.ts'
import { MESSAGE_ID_BYTES } from './message-header.ts'
import { type Reading, uint16, uint8 } from './reading.ts'

/** Which section of a header a part belongs to. */
export type HeaderSection = 'header' | 'encryption context' | 'encrypted data keys' | 'header authentication'

/** A run of bytes with a meaning. */
export interface HeaderPart {
  readonly section: HeaderSection
  readonly name: string
  readonly offset: number
  /** Bytes that are there. */
  readonly length: number
  /** How many there should be, where the part was cut. */
  readonly expectedLength?: number
}

/** Notes what is read next. */
type Note = (section: HeaderSection, name: string) => void

/** The parts of a header of which the first bytes, or all, are there. What follows it is not looked at. */
export function headerLayout(bytes: Buffer): readonly HeaderPart[] {
  const parts: HeaderPart[] = []
  let [section, name]: [HeaderSection, string] = ['header', 'version']
  const reading = readLayout((newSection, newName) => {
    section = newSection
    name = newName
  })
  let offset = 0
  let step = reading.next()
  while (step.done !== true) {
    const length = Math.min(step.value, bytes.length - offset)
    const isCut = length < step.value
    if (step.value > 0) parts.push({ section, name, offset, length, ...(isCut && { expectedLength: step.value }) })
    if (isCut) break
    step = reading.next(bytes.subarray(offset, offset + length))
    offset += length
  }
  return parts
}

function* readLayout(note: Note): Reading<void> {
  const version = yield* uint8()
  const isFirst = version === 1
  if (isFirst) yield* field(note, 'type', 1)
  yield* field(note, 'algorithm suite', 2)
  yield* field(note, 'message id', MESSAGE_ID_BYTES[isFirst ? 1 : 2])
  note('encryption context', 'length')
  const contextLength = yield* uint16()
  note('encryption context', 'pairs')
  yield contextLength
  yield* keys(note)
  yield* field(note, 'content type', 1)
  if (isFirst) {
    yield* field(note, 'reserved', 4)
    yield* field(note, 'IV length', 1)
  }
  yield* field(note, 'frame length', 4)
  if (!isFirst) yield* field(note, 'commitment', 32)
  note('header authentication', 'IV')
  if (isFirst) yield IV_BYTES
  note('header authentication', 'tag')
  yield TAG_BYTES
}

function* field(note: Note, name: string, length: number): Reading<void> {
  note('header', name)
  yield length
}

function* keys(note: Note): Reading<void> {
  note('encrypted data keys', 'count')
  const count = yield* uint16()
  for (let number = 1; number <= count; number++) {
    for (const name of ['provider id', 'provider information', 'ciphertext']) {
      note('encrypted data keys', `data key ${number}: length of ${name}`)
      const length = yield* uint16()
      note('encrypted data keys', `data key ${number}: ${name}`)
      yield length
    }
  }
}
