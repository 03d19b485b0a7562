/** What `esdk inspect --html` draws: rows of segments, each row to a scale of its own. */
import { FINAL_FRAME, REGULAR_FRAME } from '../format/frame.ts'
import { IV_BYTES, TAG_BYTES } from '../format/header-authentication.ts'
import { type HeaderPart, headerLayout } from '../format/header-layout.ts'
import type { WalkedMessage, WalkedPart } from '../streams/walk-message.ts'
import type { InspectRecord } from './inspect.ts'

/** What a segment is, by colour. */
export type SegmentKind = 'header' | 'context' | 'keys' | 'authentication' | 'frame' | 'final' | 'footer' | 'fault'

/** A run of bytes. */
export interface Segment {
  readonly kind: SegmentKind
  readonly name: string
  readonly offset: number
  readonly length: number
}

/** One row: all segments together are as wide as it is. */
export interface Strip {
  readonly title: string
  readonly segments: readonly Segment[]
  /** What its table says, where that is less than what is drawn. */
  readonly rows?: readonly Segment[]
}

/** A row is so many units wide, and no segment is narrower than this. */
export const ROW_UNITS = 1000
export const MIN_UNITS = 4

/** No row has more segments: what is more is drawn together. */
const MAX_SEGMENTS = 60

/**
 * Widths in proportion to lengths. Those that would be narrower than the least width have it; the others share the rest
 * in proportion.
 */
export function widthsOf(lengths: readonly number[], units: number = ROW_UNITS, least: number = MIN_UNITS): number[] {
  const tiny = new Set<number>()
  for (;;) {
    const rest = lengths.reduce((sum, length, index) => (tiny.has(index) ? sum : sum + length), 0)
    const scale = (units - tiny.size * least) / rest
    const more = lengths.flatMap((length, index) => (!tiny.has(index) && length * scale < least ? [index] : []))
    if (more.length === 0) return lengths.map((length, index) => (tiny.has(index) ? least : length * scale))
    for (const index of more) tiny.add(index)
    if (tiny.size === lengths.length) return lengths.map(() => units / lengths.length)
  }
}

/** All rows for a message. */
export function stripsOf(record: InspectRecord, body: WalkedMessage, headerBytes: Buffer): readonly Strip[] {
  const header = headerSegments(headerLayout(headerBytes))
  const strips = [wholeStrip(header, record, body), { title: 'The header', segments: header.fields }]
  const frames = body.parts.find(({ kind }) => kind === 'frames')
  if (frames !== undefined)
    strips.push({ title: 'The first frame', segments: frameSegments(frames, record.frameLength) })
  for (const part of body.parts) {
    if (part.kind === 'final frame') strips.push({ title: 'The final frame', segments: finalSegments(part) })
    if (part.kind === 'content') strips.push({ title: 'The content', segments: contentSegments(part) })
    if (part.kind === 'footer') strips.push({ title: 'The footer', segments: footerSegments(part) })
  }
  return strips
}

interface HeaderSegments {
  readonly fields: readonly Segment[]
  readonly sections: readonly Segment[]
}

const SECTION_KINDS = {
  header: 'header',
  'encryption context': 'context',
  'encrypted data keys': 'keys',
  'header authentication': 'authentication',
} as const

function headerSegments(parts: readonly HeaderPart[]): HeaderSegments {
  const fields = parts.map(({ section, name, offset, length }): Segment => {
    const told = section === 'header' || name.startsWith('data key') ? name : `${section}: ${name}`
    return { kind: SECTION_KINDS[section], name: told, offset, length }
  })
  const sections = joined(parts.map(({ section }, index) => ({ ...fields[index]!, name: section })))
  return { fields: fewer(fields, sections), sections }
}

/** Many data keys are drawn each as one segment, and very many all as one. */
function fewer(fields: readonly Segment[], sections: readonly Segment[]): readonly Segment[] {
  if (fields.length <= MAX_SEGMENTS) return fields
  const keys = joined(fields.map((field) => ({ ...field, name: field.name.replace(/^(data key \d+):.*/, '$1') })))
  if (keys.length <= MAX_SEGMENTS) return keys
  return fields
    .filter(({ kind }) => kind !== 'keys')
    .concat(sections.filter(({ kind }) => kind === 'keys'))
    .sort((a, b) => a.offset - b.offset)
}

/** Neighbours of one name become one. */
function joined(segments: readonly Segment[]): Segment[] {
  const all: Segment[] = []
  for (const segment of segments) {
    const last = all.at(-1)
    if (last?.name === segment.name) all[all.length - 1] = { ...last, length: last.length + segment.length }
    else all.push(segment)
  }
  return all
}

function wholeStrip({ sections }: HeaderSegments, { frameLength }: InspectRecord, body: WalkedMessage): Strip {
  const segments = [...sections]
  const rows = [...sections]
  for (const part of body.parts) {
    if (part.length === 0) continue
    const row = rowOf(part)
    rows.push(row)
    if (part.count === undefined) segments.push(row)
    else segments.push(...groupsOf(part, part.count, frameLength + REGULAR_FRAME.overhead))
  }
  return { title: 'The message', segments, rows }
}

const PART_KINDS: Readonly<Record<WalkedPart['kind'], SegmentKind>> = {
  frames: 'frame',
  'final frame': 'final',
  content: 'frame',
  footer: 'footer',
  cut: 'fault',
  unread: 'fault',
  trailing: 'fault',
}

const PART_NAMES: Readonly<Partial<Record<WalkedPart['kind'], string>>> = {
  cut: 'cut here',
  unread: 'can not be made sense of',
  trailing: 'after the end of the message',
}

function rowOf({ kind, offset, length, count }: WalkedPart): Segment {
  const frames = count === 1 ? 'frame 1' : `frames 1 to ${count}, ${length / (count ?? 1)} bytes each`
  return { kind: PART_KINDS[kind], name: count === undefined ? (PART_NAMES[kind] ?? kind) : frames, offset, length }
}

function groupsOf({ offset }: WalkedPart, count: number, size: number): Segment[] {
  const most = Math.ceil(count / MAX_SEGMENTS)
  return Array.from({ length: Math.ceil(count / most) }, (_, group) => {
    const first = group * most
    const frames = Math.min(most, count - first)
    const name = frames === 1 ? `frame ${first + 1}` : `frames ${first + 1} to ${first + frames}`
    return { kind: 'frame', name, offset: offset + first * size, length: frames * size }
  })
}

function runOf(offset: number, fields: readonly (readonly [SegmentKind, string, number])[]): Segment[] {
  let at = offset
  return fields
    .filter(([, , length]) => length > 0)
    .map(([kind, name, length]) => {
      at += length
      return { kind, name, offset: at - length, length }
    })
}

function frameSegments({ offset }: WalkedPart, frameLength: number): Segment[] {
  return runOf(offset, [
    ['header', 'sequence number', REGULAR_FRAME.ivOffset],
    ['context', 'IV', IV_BYTES],
    ['frame', 'encrypted content', frameLength],
    ['authentication', 'tag', TAG_BYTES],
  ])
}

function finalSegments({ offset, length }: WalkedPart): Segment[] {
  return runOf(offset, [
    ['footer', 'end mark', 4],
    ['header', 'sequence number', 4],
    ['context', 'IV', IV_BYTES],
    ['keys', 'content length', 4],
    ['final', 'encrypted content', length - FINAL_FRAME.overhead],
    ['authentication', 'tag', TAG_BYTES],
  ])
}

function contentSegments({ offset, length }: WalkedPart): Segment[] {
  return runOf(offset, [
    ['context', 'IV', IV_BYTES],
    ['keys', 'content length', 8],
    ['frame', 'encrypted content', length - IV_BYTES - 8 - TAG_BYTES],
    ['authentication', 'tag', TAG_BYTES],
  ])
}

function footerSegments({ offset, length }: WalkedPart): Segment[] {
  return runOf(offset, [
    ['header', 'length of the signature', 2],
    ['footer', 'signature', length - 2],
  ])
}
