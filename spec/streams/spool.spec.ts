import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Spool } from '#lib/streams/spool'

const MIB = 1024 * 1024

async function readAll(spool: Spool): Promise<Buffer> {
  const parts: Buffer[] = []
  for (let bytes = await spool.read(); bytes !== undefined; bytes = await spool.read()) parts.push(Buffer.from(bytes))
  return Buffer.concat(parts)
}

describe('Spool', () => {
  let folder: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'esdk-spool-'))
  })

  after(() => rm(folder, { recursive: true }))

  for (const [size, where] of [
    [0, 'memory'],
    [MIB, 'memory'],
    [MIB + 1, 'a file without a name'],
    [5 * MIB + 7, 'a file without a name'],
  ] as const) {
    it(`keeps ${size} bytes in ${where} and gives them back`, async () => {
      const bytes = randomBytes(size)
      const spool = new Spool(folder)
      for (let offset = 0; offset < size; offset += 300_000) {
        await spool.write(Buffer.from(bytes.subarray(offset, offset + 300_000)))
      }
      assert.deepEqual(await readdir(folder), [])
      assert.ok((await readAll(spool)).equals(bytes))
      await spool.close()
    })
  }

  it('fails where the folder is missing, and closes all the same', async () => {
    const spool = new Spool(join(folder, 'missing'))
    await assert.rejects(spool.write(Buffer.alloc(2 * MIB)), { code: 'ENOENT' })
    await spool.close()
  })
})
