import assert from 'node:assert/strict'
import { fewRandomBytes } from '#lib/crypto/random'
import { useAddon } from './addon.ts'

for (const engine of ['native', 'node'] as const) {
  describe(`crypto/random by the engine ${engine}`, () => {
    const addon = engine === 'native' ? useAddon() : undefined

    it('gives as many bytes as are asked for, never the same', () => {
      const seen = new Set<string>()
      for (let round = 0; round < 1000; round++) {
        const bytes = fewRandomBytes(16, addon?.())
        assert.equal(bytes.length, 16)
        seen.add(bytes.toString('hex'))
      }
      assert.equal(seen.size, 1000)
    })

    it('gives each bit as often as not', () => {
      const ones = new Array<number>(8).fill(0)
      const bytes = Buffer.concat(Array.from({ length: 100 }, () => fewRandomBytes(1024, addon?.())))
      for (const byte of bytes) for (let bit = 0; bit < 8; bit++) ones[bit]! += (byte >> bit) & 1
      for (const count of ones) assert.ok(Math.abs(count / bytes.length - 0.5) < 0.02, String(ones))
    })
  })
}
