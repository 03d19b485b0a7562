import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { SharedRequest } from '#lib/materials/shared-request'

describe('materials/shared-request', () => {
  it('gives its result to all who wait, before and after it is there', async () => {
    let abandoned = 0
    const request = new SharedRequest(
      async () => (await turn(), 'result'),
      () => void (abandoned += 1),
    )
    const signal = new AbortController().signal
    assert.deepEqual(await Promise.all([request.wait(undefined), request.wait(signal)]), ['result', 'result'])
    assert.equal(await request.wait(undefined), 'result')
    assert.equal(abandoned, 0)
  })

  it('is aborted, with the reason, when all who waited have gone, and nobody hears of its failure', async () => {
    let abandoned = 0
    let seen: unknown
    const request = new SharedRequest(
      (signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            seen = signal.reason
            reject(new Error('nobody waits'))
          })
        }),
      () => void (abandoned += 1),
    )
    const controllers = [new AbortController(), new AbortController()]
    const waiting = Promise.allSettled(controllers.map(({ signal }) => request.wait(signal)))
    controllers[0]!.abort()
    await turn()
    assert.deepEqual([abandoned, seen], [0, undefined])
    const reason = new Error('the last')
    controllers[1]!.abort(reason)
    const settled = await waiting
    assert.ok(settled.every(({ status }) => status === 'rejected'))
    assert.deepEqual([abandoned, seen], [1, reason])
    await turn()
  })

  it('is nobody’s failure where nobody waits', async () => {
    const seen: unknown[] = []
    const listen = (reason: unknown): void => void seen.push(reason)
    process.on('unhandledRejection', listen)
    const request = new SharedRequest(
      () => Promise.reject(new Error('early')),
      () => undefined,
    )
    await turn()
    process.off('unhandledRejection', listen)
    assert.deepEqual(seen, [])
    await assert.rejects(request.wait(undefined), /early/)
  })

  it('is aborted by one who was aborted before waiting', async () => {
    let aborted: AbortSignal | undefined
    const request = new SharedRequest(
      (signal) => ((aborted = signal), new Promise<never>(() => undefined)),
      () => undefined,
    )
    await assert.rejects(request.wait(AbortSignal.abort(new Error('before'))), /before/)
    assert.equal(aborted?.aborted, true)
  })
})
