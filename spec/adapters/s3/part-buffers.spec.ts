import assert from 'node:assert/strict'
import fc from 'fast-check'
import { PartBuffers, PartSizes } from '#lib/adapters/s3/part-buffers'
import { bytes, cuts } from '../../arbitraries.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB
const TIB = 1024 * GIB
const MAX_PARTS = 10_000

/** Sizes that are too small for S3, for specs. */
function sizesOf(of: PartSizes['of']): Pick<PartSizes, 'of'> {
  return { of }
}

async function* each(chunks: readonly Buffer[]): AsyncGenerator<Buffer, void> {
  for (const chunk of chunks) yield await Promise.resolve(chunk)
}

async function partsOf(chunks: readonly Buffer[], sizes: Pick<PartSizes, 'of'>): Promise<Buffer[]> {
  const parts = new PartBuffers(each(chunks), sizes)
  const all: Buffer[] = []
  for (let part = await parts.next(); part.length > 0; part = await parts.next()) all.push(part)
  return all
}

describe('adapters/s3/part-buffers', () => {
  it('cuts any chunks into full parts and a last one, in memory of their own', async () => {
    await fc.assert(
      fc.asyncProperty(bytes(5000), cuts, fc.integer({ min: 1, max: 900 }), async (whole, cut, size) => {
        const chunks = cut(Buffer.from(whole))
        const parts = await partsOf(
          chunks,
          sizesOf((number) => size * number),
        )
        for (const chunk of chunks) chunk.fill(0) // whose memory it is may be used again
        assert.equal(Buffer.concat(parts).toString('hex'), whole.toString('hex'))
        parts.slice(0, -1).forEach((part, index) => {
          assert.equal(part.length, size * (index + 1))
        })
      }),
    )
  })

  it('fills parts that are longer than the usual as bytes come', async () => {
    const chunk = Buffer.alloc(3 * MIB, 'chunk')
    const parts = await partsOf(
      Array.from({ length: 9 }, () => chunk),
      sizesOf(() => 20 * MIB),
    )
    assert.deepEqual(
      parts.map(({ length }) => length),
      [20 * MIB, 7 * MIB],
    )
    assert.ok(Buffer.concat(parts).equals(Buffer.concat(Array.from({ length: 9 }, () => chunk))))
  })

  describe('sizes', () => {
    const capacityOf = (sizes: PartSizes): number =>
      Array.from({ length: MAX_PARTS }, (_, index) => sizes.of(index + 1)).reduce((sum, size) => sum + size, 0)

    it('are 8 MiB, or what is said, and grow where the length is unknown', () => {
      assert.equal(new PartSizes().of(1), 8 * MIB)
      assert.equal(new PartSizes(5 * MIB).of(1000), 5 * MIB)
      assert.equal(new PartSizes(5 * MIB).of(1001), 10 * MIB)
      assert.ok(capacityOf(new PartSizes()) > 7.5 * TIB)
      assert.ok(Math.max(...[1, 9999, 10_000].map((number) => new PartSizes(GIB).of(number))) <= 5 * GIB)
    })

    it('are equal and few enough where the length is known, up to the largest object', () => {
      for (const length of [1, 80 * GIB, 80 * GIB + 1, 5 * TIB, MAX_PARTS * 5 * GIB]) {
        const sizes = new PartSizes(undefined, length)
        const parts = Math.ceil(length / sizes.of(1))
        assert.ok(parts <= MAX_PARTS && sizes.of(1) <= 5 * GIB)
        assert.equal(sizes.of(parts), sizes.of(1))
      }
      assert.equal(new PartSizes(undefined, 64 * GIB - 2 * GIB).of(1), 8 * MIB)
      assert.equal(new PartSizes(undefined, 64 * GIB).of(1), 9 * MIB)
      assert.throws(() => new PartSizes(undefined, MAX_PARTS * 5 * GIB + 1), { code: 'ERR_ESDK_LIMIT' })
    })

    it('grow all the same where there is more than was expected', () => {
      assert.ok(capacityOf(new PartSizes(undefined, 1)) > 7.5 * TIB)
      assert.ok(capacityOf(new PartSizes(undefined, GIB)) > 6 * TIB)
      for (const expected of [80 * GIB, TIB]) assert.ok(capacityOf(new PartSizes(undefined, expected)) > 1.3 * expected)
    })

    it('are what S3 takes', () => {
      for (const size of [0, 5 * MIB - 1, 5 * GIB + 1, 1.5, Number.NaN]) {
        assert.throws(() => new PartSizes(size), /"partBytes" expected integer/)
      }
      for (const length of [-1, 1.5, Number.NaN]) {
        assert.throws(() => new PartSizes(undefined, length), /"expectedBytes" expected integer/)
      }
    })
  })
})
