import assert from 'node:assert/strict'
import { Turns } from '#lib/streams/turns'

const MIB = 1024 * 1024

/** Whether the event loop ran while `work` went on. */
async function letsOthersRun(work: () => Promise<void>): Promise<boolean> {
  let ran = false
  setImmediate(() => (ran = true))
  await work()
  return ran
}

describe('Turns', () => {
  it('gives the event loop a turn every 4 MiB', async () => {
    const turns = new Turns()
    const few = await letsOthersRun(() => turns.take(1))
    assert.equal(few, false)
    assert.equal(await letsOthersRun(() => turns.take(4 * MIB)), true)
    assert.equal(await letsOthersRun(() => turns.take(1)), false)
  })

  it('gives the event loop a turn after 5 ms, however little was done', async () => {
    const turns = new Turns()
    const until = performance.now() + 6
    while (performance.now() < until);
    assert.equal(await letsOthersRun(() => turns.take(1)), true)
  })
})
