import assert from 'node:assert/strict'
import fc from 'fast-check'
import { MalformedMessageError, TruncatedMessageError } from 'esdk-streams'
import { ByteQueue, SLICE_BYTES, pulledQueue } from '#lib/streams/byte-queue'

function quietQueue(): ByteQueue {
  return new ByteQueue(() => undefined)
}

describe('ByteQueue', () => {
  it('gives back what was pushed, however it was cut and however it is taken', async () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 40 })
    await fc.assert(
      fc.asyncProperty(pieces, fc.array(fc.nat(5000), { maxLength: 40 }), async (chunks, takes) => {
        const whole = Buffer.concat(chunks)
        const queue = quietQueue()
        const taken: Buffer[] = []
        const waiting = [...takes]
        for (const chunk of chunks) {
          queue.push(chunk)
          for (let next = waiting[0]; next !== undefined && next <= queue.length; next = waiting[0]) {
            waiting.shift()
            assert.equal(await queue.atLeast(next), true)
            taken.push(Buffer.from(queue.take(next)))
          }
        }
        taken.push(Buffer.from(queue.take(queue.length)))
        assert.deepEqual(Buffer.concat(taken), whole)
        assert.equal(queue.received, whole.length)
      }),
    )
  })

  it('copies: the writer may change its buffer at once', () => {
    const queue = quietQueue()
    const chunk = Buffer.from('abc')
    queue.push(chunk)
    chunk.fill(0)
    assert.equal(queue.take(3).toString(), 'abc')
  })

  it('gives back what was lent, however it was cut and taken, and looks at no chunk that its writer has again', async () => {
    const pieces = fc.array(fc.tuple(fc.uint8Array({ maxLength: 300 }), fc.boolean()), { maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(pieces, fc.array(fc.nat(600), { minLength: 1, maxLength: 20 }), async (chunks, takes) => {
        const whole = Buffer.concat(chunks.map(([chunk]) => chunk))
        const left = chunks.map(([chunk, lent]) => ({ chunk: Buffer.from(chunk), lent }))
        let out = 0
        const feed = (): void => {
          while (queue.wanting && out === 0) {
            const next = left.shift()
            if (next === undefined) {
              queue.end()
            } else if (next.lent) {
              out += 1
              queue.lend(next.chunk, () => {
                out -= 1
                next.chunk.fill(0xee)
                feed()
              })
            } else {
              queue.push(next.chunk)
              next.chunk.fill(0xee)
            }
          }
        }
        const queue: ByteQueue = new ByteQueue(feed)
        const taken: Buffer[] = []
        for (let turn = 0; await queue.atLeast(takes[turn % takes.length]! + 1); turn++) {
          const count = takes[turn % takes.length]! + 1
          assert.ok(queue.length >= count)
          const start = Buffer.from(queue.peek(Math.min(count, 4)))
          if (count >= 4) assert.equal(queue.uint32At(0), start.readUInt32BE(0))
          const units = Math.floor(queue.length / count)
          const parts = turn % 2 === 0 ? [queue.take(count)] : queue.takeWhole(units, count)
          for (const part of parts) assert.equal(part.length % count, 0)
          taken.push(Buffer.concat(parts))
        }
        taken.push(Buffer.from(queue.take(queue.length)))
        assert.equal(out, 0)
        assert.equal(Buffer.concat(taken).toString('hex'), whole.toString('hex'))
      }),
    )
  })

  it('hands out a lent chunk itself, but for the unit that began before it', async () => {
    const queue = quietQueue()
    queue.push(Buffer.from('abc'))
    const waiting = queue.atLeast(4)
    const chunk = Buffer.from('defghijk')
    let released = 0
    queue.lend(chunk, () => released++)
    await waiting
    assert.equal(queue.uint32At(3), Buffer.from('defg').readUInt32BE(0))
    const [first, rest] = queue.takeWhole(2, 4)
    assert.equal(first!.toString(), 'abcd')
    assert.equal(rest!.toString(), 'efgh')
    assert.equal(rest!.buffer, chunk.buffer)
    assert.equal(released, 0)
    const more = queue.atLeast(4)
    assert.equal(released, 1)
    chunk.fill(0)
    queue.push(Buffer.from('l'))
    await more
    assert.equal(queue.take(4).toString(), 'ijkl')
  })

  it('gives back at once what is too little for who waits, or for nobody', async () => {
    const queue = quietQueue()
    let released = 0
    queue.lend(Buffer.from('a'), () => released++)
    assert.equal(released, 1)
    const waiting = queue.atLeast(3)
    queue.lend(Buffer.from('b'), () => released++)
    assert.equal(released, 2)
    queue.lend(Buffer.from('c'), () => released++)
    assert.equal(await waiting, true)
    assert.equal(released, 2)
    queue.fail(new Error('gone'))
    assert.equal(queue.length, 0)
    queue.lend(Buffer.from('d'), () => released++)
    assert.equal(released, 2)
  })

  it('asks for more only when there is less than is wanted', async () => {
    let asked = 0
    const queue = new ByteQueue(() => asked++)
    queue.push(Buffer.alloc(4))
    assert.equal(await queue.atLeast(4), true)
    assert.equal(asked, 0)
    assert.equal(queue.wanting, false)
    const more = queue.atLeast(6)
    assert.equal(asked, 1)
    assert.equal(queue.wanting, true)
    queue.push(Buffer.alloc(1))
    assert.equal(queue.wanting, true)
    queue.push(Buffer.alloc(1))
    assert.equal(queue.wanting, false)
    assert.equal(await more, true)
  })

  it('tells when the input ends with fewer bytes, before and after waiting', async () => {
    const queue = quietQueue()
    queue.push(Buffer.alloc(2))
    const waiting = queue.atLeast(3)
    queue.end()
    assert.equal(await waiting, false)
    assert.equal(await queue.atLeast(3), false)
    assert.equal(await queue.atLeast(2), true)
    await assert.rejects(queue.need(3), TruncatedMessageError)
    await assert.rejects(queue.read(readFour()), /after 2 bytes/)
  })

  it('gives a failure to whoever waits, now or later', async () => {
    const queue = quietQueue()
    const failure = new Error('gone')
    const waiting = queue.atLeast(1)
    queue.fail(failure)
    await assert.rejects(waiting, failure)
    await assert.rejects(queue.atLeast(0), failure)
    queue.push(Buffer.alloc(9))
    assert.equal(queue.length, 0)
  })

  it('fails as soon as a limit is passed, and not at it', async () => {
    const queue = quietQueue()
    queue.limit(3, () => new Error('too much'))
    queue.push(Buffer.alloc(3))
    assert.equal(await queue.atLeast(3), true)
    const waiting = queue.atLeast(10)
    queue.push(Buffer.alloc(1))
    await assert.rejects(waiting, /too much/)
    const late = quietQueue()
    late.push(Buffer.alloc(2))
    late.limit(1, () => new Error('too much'))
    await assert.rejects(late.atLeast(1), /too much/)
  })

  it('refuses to hand out more than there is', () => {
    assert.throws(() => quietQueue().take(1), RangeError)
  })

  it('finishes only at the end of the input', async () => {
    const queue = quietQueue()
    const finished = queue.finish()
    queue.end()
    await finished
    const longer = quietQueue()
    longer.push(Buffer.alloc(1))
    await assert.rejects(longer.finish(), MalformedMessageError)
  })
})

function* readFour(): Generator<number, Buffer, Buffer> {
  return yield 4
}

describe('pulledQueue', () => {
  it('pulls only while its protocol wants, in slices of a large chunk', async () => {
    let pulls = 0
    const queue = pulledQueue(() => Promise.resolve(pulls++ < 2 ? Buffer.alloc(SLICE_BYTES * 2, pulls) : undefined))
    assert.equal(pulls, 0)
    await queue.need(1)
    assert.equal(pulls, 1)
    assert.equal(queue.length, SLICE_BYTES)
    await queue.need(SLICE_BYTES * 2 + 1)
    assert.equal(queue.length, SLICE_BYTES * 3)
    assert.equal(await queue.atLeast(SLICE_BYTES * 5), false)
    assert.equal(queue.length, SLICE_BYTES * 4)
    assert.equal(queue.take(SLICE_BYTES * 2 + 1).at(-1), 2)
  })

  it('passes over empty chunks and passes on what a source throws', async () => {
    const chunks = [Buffer.alloc(0), Buffer.from('a'), Buffer.alloc(0), Buffer.from('b')]
    const queue = pulledQueue(() => {
      const chunk = chunks.shift()
      return chunk === undefined ? Promise.reject(new Error('broken pipe')) : Promise.resolve(chunk)
    })
    await queue.need(2)
    assert.equal(queue.take(2).toString(), 'ab')
    await assert.rejects(queue.need(1), /broken pipe/)
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- a source may throw anything
    await assert.rejects(pulledQueue(() => Promise.reject('text')).need(1), /text/)
  })
})
