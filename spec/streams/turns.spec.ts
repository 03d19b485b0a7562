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

/** Does what every loop over work does. */
async function take(turns: Turns, bytes: number): Promise<void> {
  if (turns.due(bytes)) await turns.turn()
}

describe('Turns', () => {
  it('gives the event loop a turn every 4 MiB', async () => {
    const turns = new Turns()
    const few = await letsOthersRun(() => take(turns, 1))
    assert.equal(few, false)
    assert.equal(await letsOthersRun(() => take(turns, 4 * MIB)), true)
    assert.equal(await letsOthersRun(() => take(turns, 1)), false)
  })

  it('gives the event loop a turn after 5 ms, however little was done', async () => {
    const turns = new Turns()
    const until = performance.now() + 6
    while (performance.now() < until);
    assert.equal(await letsOthersRun(() => take(turns, 1)), true)
  })
})
