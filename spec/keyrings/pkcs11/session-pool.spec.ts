// What a token of SoftHSM never does: run out of sessions, fail to close one. Here a module that is none.
import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import type { Pkcs11Module } from 'esdk-streams/pkcs11'
import { type Session, SessionPool } from '#lib/keyrings/pkcs11/session-pool'
import { answer } from './setup.ts'

/** Sessions that can be counted. `limit` is how many the token has. */
function tokenOf(limit: number): { open: () => Promise<Session>; openNow: () => number; most: () => number } {
  let [openNow, most] = [0, 0]
  const module = {
    C_CloseSession: (handle: Buffer) => {
      openNow -= 1
      if (handle[0] === 0xff) throw answer('CKR_SESSION_HANDLE_INVALID')
    },
  } as unknown as Pkcs11Module // the pool calls nothing else
  const open = (): Promise<Session> => {
    if (openNow >= limit) return Promise.reject(answer('CKR_SESSION_COUNT', 177))
    openNow += 1
    most = Math.max(most, openNow)
    return Promise.resolve({ module, handle: Buffer.from([openNow]), keys: new Map() })
  }
  return { open, openNow: () => openNow, most: () => most }
}

describe('keyrings/pkcs11/session-pool', () => {
  it('uses as many sessions as the token has, and no more than three', async () => {
    for (const limit of [1, 2, 3, 10]) {
      const { open, openNow, most } = tokenOf(limit)
      const pool = new SessionPool(open)
      let atOnce = 0
      let together = 0
      const inUse = new Set<Session>()
      const work = async (session: Session): Promise<void> => {
        assert.equal(inUse.has(session), false, 'a session is used by one at a time')
        inUse.add(session)
        together = Math.max(together, ++atOnce)
        await setTimeout(1)
        atOnce -= 1
        inUse.delete(session)
      }
      await Promise.all(Array.from({ length: 20 }, () => pool.use(work, undefined)))
      await Promise.all(Array.from({ length: 20 }, () => pool.use(work, undefined)))
      assert.deepEqual([most(), together], [Math.min(limit, 3), Math.min(limit, 3)])
      await pool.close()
      assert.equal(openNow(), 0)
    }
  })

  it('fails where the token has none', async () => {
    const pool = new SessionPool(tokenOf(0).open)
    const results = await Promise.allSettled(
      Array.from({ length: 5 }, () => pool.use(() => Promise.resolve(), undefined)),
    )
    for (const result of results) {
      assert.match(result.status === 'rejected' ? String(result.reason) : '', /CKR_SESSION_COUNT/)
    }
    await pool.close()
  })

  it('gives back what it used when work fails, and says to work when it is for the last time', async () => {
    const { open, openNow } = tokenOf(1)
    const pool = new SessionPool(open)
    const seen: boolean[] = []
    const failing = (error: Error) => (_session: Session, last: boolean) => {
      seen.push(last)
      return Promise.reject(error)
    }
    for (let time = 0; time < 5; time++) {
      await assert.rejects(pool.use(failing(new Error('mine')), undefined), /mine/)
      await assert.rejects(pool.use(failing(answer('CKR_DATA_INVALID')), undefined), /CKR_DATA_INVALID/)
    }
    assert.deepEqual(
      seen.splice(0),
      Array.from({ length: 10 }, () => false),
    )
    assert.equal(openNow(), 1)
    await assert.rejects(pool.use(failing(answer('CKR_SESSION_CLOSED')), undefined), /CKR_SESSION_CLOSED/)
    assert.deepEqual(seen, [false, true])
    assert.equal(openNow(), 0)
    assert.equal(await pool.use(() => Promise.resolve(7), undefined), 7)
    await pool.close()
  })

  it('takes no session that lay idle when another turned out to be lost, even one that can’t be closed', async () => {
    const { open, openNow } = tokenOf(3)
    const pool = new SessionPool(open)
    const used: Session[] = []
    const use = (session: Session): Promise<void> => {
      used.push(session)
      return setTimeout(2)
    }
    for (const name of ['CKR_SESSION_HANDLE_INVALID', 'CKR_KEY_HANDLE_INVALID']) {
      await Promise.all([pool.use(use, undefined), pool.use(use, undefined), pool.use(use, undefined)])
      for (const { handle } of used) handle[0] = 0xff
      const before = [...used]
      let failed = false
      await pool.use(async (session) => {
        if (!failed) {
          failed = true
          throw answer(name)
        }
        assert.equal(before.includes(session), false)
        return use(session)
      }, undefined)
    }
    await pool.close()
    assert.equal(openNow(), 0)
  })

  it('goes on when the one that was opening a session fails', async () => {
    const { open } = tokenOf(3)
    let failures = 2
    const pool = new SessionPool(() => (failures-- > 0 ? Promise.reject(new Error('not now')) : open()))
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => pool.use(() => setTimeout(1), undefined)))
    assert.equal(results.filter(({ status }) => status === 'rejected').length, 2)
    await pool.close()
  })

  it('begins nothing when aborted, and passes its turn on', async () => {
    const pool = new SessionPool(tokenOf(1).open)
    const controller = new AbortController()
    const order: string[] = []
    const named = (name: string) => async (): Promise<void> => {
      order.push(name)
      await setTimeout(5)
    }
    const all = Promise.allSettled([
      pool.use(named('first'), undefined),
      pool.use(named('second'), controller.signal),
      pool.use(named('third'), undefined),
    ])
    await setTimeout(1)
    controller.abort(new Error('enough'))
    const results = await all
    assert.deepEqual(order, ['first', 'third'])
    assert.equal(results[1].status, 'rejected')
    await pool.close()
    await assert.rejects(pool.use(named('fourth'), undefined), /the keyring is closed/)
  })

  it('lets work that is under way end before it is closed', async () => {
    const { open, openNow } = tokenOf(2)
    const pool = new SessionPool(open)
    let ended = 0
    const work = async (): Promise<void> => {
      await setTimeout(10)
      ended += 1
    }
    const results = Promise.allSettled(Array.from({ length: 6 }, () => pool.use(work, undefined)))
    await setTimeout(1)
    await pool.close()
    assert.deepEqual([ended, openNow()], [2, 0])
    const states = (await results).map(({ status }) => status)
    assert.deepEqual(states.sort(), [...Array<string>(2).fill('fulfilled'), ...Array<string>(4).fill('rejected')])
  })
})
