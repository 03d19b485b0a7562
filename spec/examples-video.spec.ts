/** The example that serves encrypted videos of Amazon S3, asked by fetch and by a browser. */
import { PutObjectCommand } from '@aws-sdk/client-s3'
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { putObject } from 'esdk-streams/s3'
import type { Browser, Page } from 'puppeteer-core'
import { startChromium } from './browser/chromium.ts'
import { encodePictures, greyAt, webm } from './browser/webm.ts'
import { AES_JWK, KEYRING as keyring } from './cli/command.ts'
import { useS3Server } from './emulators/s3-setup.ts'
import { preparedOrPending } from './interop/pending.ts'

const MIB = 1024 * 1024
const START_TIMEOUT_MS = 180_000

describe('the example of a video server', () => {
  const s3 = useS3Server('versitygw')
  let folder: string
  let server: ChildProcess
  let origin: string
  let complaints = ''

  before(async function () {
    this.timeout(START_TIMEOUT_MS)
    folder = await mkdtemp(join(tmpdir(), 'esdk-video-'))
    await writeFile(join(folder, 'my.key'), AES_JWK)
    const { environment, bucket } = s3.server
    server = spawn(process.execPath, ['--import', 'tsx', join('examples', 'video-server.ts')], {
      cwd: resolve(import.meta.dirname, '..'),
      env: { ...process.env, ...environment, S3_BUCKET: bucket, KEY_FILE: join(folder, 'my.key'), PORT: '0' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    server.stderr!.on('data', (text: Buffer) => (complaints += text.toString()))
    const [line] = (await Promise.race([
      once(createInterface(server.stdout!), 'line'),
      once(server, 'exit').then(() => assert.fail(complaints)),
    ])) as [string] // a line
    origin = /http:\S+(?=\/)/.exec(line)![0]
  })

  after(async () => {
    if ((server as ChildProcess | undefined)?.exitCode === null) {
      server.kill()
      await once(server, 'exit')
    }
    if ((folder as string | undefined) !== undefined) await rm(folder, { recursive: true })
  })

  /** Encrypts something into the bucket, to be served under that name. */
  async function store(name: string, body: Buffer, type = 'video/webm'): Promise<void> {
    await putObject({
      client: s3.server.direct,
      params: { Bucket: s3.server.bucket, Key: name },
      body,
      keyring,
      randomAccess: true,
      encryptionContext: { video: name, 'content-type': type },
    })
  }

  /** Stores what is stored under a name under another one, changed. */
  async function storeChanged(name: string, change: (message: Buffer) => void, from: string): Promise<void> {
    const message = await s3.server.objectBytes(from)
    change(message)
    await s3.server.direct.send(new PutObjectCommand({ Bucket: s3.server.bucket, Key: name, Body: message }))
  }

  function ask(name: string, headers: Record<string, string> = {}, init: RequestInit = {}): Promise<Response> {
    return fetch(`${origin}/videos/${encodeURIComponent(name)}`, { ...init, headers })
  }

  const bytesOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer())
  const bytesFromS3 = (): number => s3.server.proxy.asked.reduce((sum, { bytesOut }) => sum + bytesOut, 0)

  describe('by HTTP', () => {
    const plaintext = randomBytes(300_017)
    const size = plaintext.length

    before(async () => {
      await store('a video.webm', plaintext)
      await store('empty', Buffer.alloc(0))
    })

    it('gives all of it where no range is asked for, and says that ranges may be', async () => {
      for (const method of ['GET', 'HEAD']) {
        const response = await ask('a video.webm', method === 'HEAD' ? { range: 'bytes=0-9' } : {}, { method })
        assert.equal(response.status, 200)
        const { headers } = response
        const names = ['accept-ranges', 'content-type', 'content-length', 'content-range']
        assert.deepEqual(
          names.map((name) => headers.get(name)),
          ['bytes', 'video/webm', String(size), null],
        )
        assert.match(headers.get('etag')!, /^"[\w-]+"$/)
        assert.deepEqual(await bytesOf(response), method === 'HEAD' ? Buffer.alloc(0) : plaintext)
      }
    })

    const ranges: readonly (readonly [range: string, start: number, end: number])[] = [
      ['bytes=0-', 0, size - 1],
      ['bytes=0-0', 0, 0],
      ['bytes=4095-4096', 4095, 4096],
      ['bytes=4096-8191', 4096, 8191],
      ['bytes=123456-234567', 123_456, 234_567],
      ['bytes=299999-', 299_999, size - 1],
      ['bytes=300000-999999', 300_000, size - 1],
      ['bytes=-1', size - 1, size - 1],
      ['bytes=-5000', size - 5000, size - 1],
      ['bytes=-999999', 0, size - 1],
      ['bytes=5-9,300017-', 5, 9], // there is only one that is there
    ]
    for (const [range, start, end] of ranges) {
      it(`gives the range ${range}`, async () => {
        const response = await ask('a video.webm', { range })
        assert.equal(response.status, 206)
        assert.equal(response.headers.get('content-range'), `bytes ${start}-${end}/${size}`)
        assert.equal(response.headers.get('content-length'), String(end - start + 1))
        assert.deepEqual(await bytesOf(response), plaintext.subarray(start, end + 1))
      })
    }

    for (const range of ['bytes=300017-', 'bytes=999999-9999999', 'bytes=-0', 'bytes=300017-,400000-']) {
      it(`has nothing for the range ${range}`, async () => {
        const response = await ask('a video.webm', { range })
        assert.equal(response.status, 416)
        assert.equal(response.headers.get('content-range'), `bytes */${size}`)
        assert.equal(await response.text(), '416\n')
      })
    }

    for (const range of ['bytes=0-9,20-29', 'bytes=9-0', 'bytes=a-b', 'bytes=', 'frames=0-1', 'bytes']) {
      it(`gives all of it for the range ${range}`, async () => {
        const response = await ask('a video.webm', { range })
        assert.equal(response.status, 200)
        assert.equal((await bytesOf(response)).equals(plaintext), true)
      })
    }

    it('gives nothing of what is empty', async () => {
      const answers = await Promise.all(
        ['', 'bytes=0-', 'bytes=-5'].map((range) => ask('empty', range ? { range } : {})),
      )
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 416, 200],
      )
    })

    it('goes on with the video that the browser has, and begins anew with another', async () => {
      const etag = (await ask('a video.webm', {}, { method: 'HEAD' })).headers.get('etag')!
      const statuses: number[] = []
      for (const known of [etag, '"another"', `W/${etag}`, 'Tue, 24 Nov 2026 19:00:00 GMT']) {
        const response = await ask('a video.webm', { range: 'bytes=10-19', 'if-range': known })
        statuses.push(response.status)
        const expected = response.status === 206 ? plaintext.subarray(10, 20) : plaintext
        assert.equal((await bytesOf(response)).equals(expected), true)
      }
      assert.deepEqual(statuses, [206, 200, 200, 200])
    })

    it('does not send again what the browser has', async () => {
      const etag = (await ask('a video.webm', {}, { method: 'HEAD' })).headers.get('etag')!
      const statuses: number[] = []
      for (const known of [etag, `W/${etag}`, `"another", ${etag}`, '*', '"another"']) {
        const response = await ask('a video.webm', { 'if-none-match': known })
        statuses.push(response.status)
        assert.equal(response.headers.get('etag'), etag)
        await response.arrayBuffer()
      }
      assert.deepEqual(statuses, [304, 304, 304, 304, 200])
    })

    it('has nothing under other names and methods', async () => {
      const statuses: number[] = []
      for (const path of ['/videos/none', '/videos/', '/videos/%', '/none', '//']) {
        statuses.push((await fetch(origin + path)).status)
      }
      assert.deepEqual(statuses, [404, 404, 404, 404, 404])
      const response = await ask('a video.webm', {}, { method: 'POST', body: 'x' })
      assert.deepEqual([response.status, response.headers.get('allow')], [405, 'GET, HEAD'])
    })
  })

  describe('of what was tampered with', () => {
    const plaintext = randomBytes(3 * MIB + 17)

    before(() => store('whole', plaintext))

    const wrong: Record<string, (message: Buffer) => void> = {
      header: (message) => (message[10]! ^= 1),
      end: (message) => (message[message.length - 1]! ^= 1),
      name: () => undefined, // another video's place is tampering too
    }
    for (const [what, change] of Object.entries(wrong)) {
      it(`gives nothing where the ${what} is not what it was`, async () => {
        // Only the name itself is wrong with what is stored under it as it was.
        await storeChanged(`other ${what}`, change, 'whole')
        for (const headers of [{}, { range: 'bytes=0-99' }] as Record<string, string>[]) {
          const response = await ask(`other ${what}`, headers)
          assert.deepEqual([response.status, await response.text()], [502, '502\n'])
        }
      })
    }

    describe('in one frame', () => {
      const at = Math.floor(2.5 * MIB)

      before(async () => {
        await store('frame', plaintext)
        await storeChanged('frame', (message) => (message[at]! ^= 1), 'frame')
      })

      it('breaks off before it, after nothing but true bytes', async () => {
        // A connection that is kept, as after a good answer, is closed later than that.
        const response = await ask('frame', {}, { signal: AbortSignal.timeout(3000) })
        assert.equal(response.status, 200)
        const received: Uint8Array[] = []
        await assert.rejects(async () => {
          for await (const chunk of response.body!) received.push(chunk as Uint8Array) // a body is of bytes
        }, /terminated/)
        const prefix = Buffer.concat(received)
        assert.equal(plaintext.subarray(0, prefix.length).equals(prefix), true)
        assert.ok(prefix.length >= MIB && prefix.length < at, String(prefix.length))
      })

      it('gives nothing of a range that begins near it, and all of others', async () => {
        const broken = await ask('frame', { range: `bytes=${at - 40_000}-` }) // the message is longer than the plaintext
        assert.equal(broken.status, 502)
        assert.equal(await broken.text(), '502\n')
        const start = at + 10_000
        const sound = await ask('frame', { range: `bytes=${start}-` })
        assert.equal(sound.status, 206)
        assert.equal((await bytesOf(sound)).equals(plaintext.subarray(start)), true)
      })
    })

    it('serves the video that another one was replaced by', async () => {
      await store('replaced', plaintext)
      const before = await ask('replaced', { range: 'bytes=0-9' })
      await before.arrayBuffer()
      const other = randomBytes(2 * MIB)
      await store('replaced', other)
      const range = { range: `bytes=${MIB}-`, 'if-range': before.headers.get('etag')! }
      const during = await ask('replaced', range)
      assert.deepEqual([during.status, await during.text()], [502, '502\n'])
      const after = await ask('replaced', range)
      assert.equal(after.status, 200)
      assert.equal((await bytesOf(after)).equals(other), true)
    })
  })

  describe('with a browser that goes away', () => {
    const plaintext = randomBytes(32 * MIB)

    before(async () => {
      await store('long', plaintext)
      await (await ask('long', {}, { method: 'HEAD' })).arrayBuffer() // it is open
    })

    it('waits for one that does not read on, and asks S3 for nothing more once it has gone', async () => {
      const gone = new AbortController()
      const response = await ask('long', {}, { signal: gone.signal })
      assert.equal(response.status, 200)
      await settled(bytesFromS3)
      const waiting = bytesFromS3()
      assert.ok(waiting < 24 * MIB, `${waiting} bytes came from S3`)
      gone.abort()
      await assert.rejects(response.arrayBuffer())
      await setTimeout(500)
      assert.equal(bytesFromS3(), waiting)
    })

    it('lets go of connections to S3, however many go away', async () => {
      const { proxy } = s3.server
      proxy.faults(() => 'stall')
      const gone = new AbortController()
      const starts = Array.from({ length: 20 }, (_, index) => index * MIB)
      const asking = starts.map((start) => ask('long', { range: `bytes=${start}-` }, { signal: gone.signal }))
      asking.forEach((response) => void response.catch(() => undefined))
      while (proxy.asked.length < 50) await setTimeout(10) // so many connections the AWS SDK's client makes
      gone.abort()
      await Promise.allSettled(asking)
      proxy.faults()
      const [start, end] = [30 * MIB, 30 * MIB + 1000]
      const range = `bytes=${start}-${end - 1}`
      const response = await ask('long', { range }, { signal: AbortSignal.timeout(5000) })
      assert.deepEqual(await bytesOf(response), plaintext.subarray(start, end))
    })
  })

  describe('in a browser', () => {
    let browser: Browser
    let pictures: Buffer[]

    before(async function () {
      this.timeout(START_TIMEOUT_MS)
      browser = await preparedOrPending(this, startChromium)
      const page = await browser.newPage()
      await page.goto(origin)
      pictures = await encodePictures(page)
      await page.close()
    })

    after(() => (browser as Browser | undefined)?.close())

    for (const [what, seconds] of [
      ['a short video', 12],
      ['a long video', 100],
    ] as const) {
      it(`plays ${what}, and finds every place`, async () => {
        const video = webm(pictures, seconds)
        const isLong = video.length >= 20 * MIB
        assert.equal(isLong, what === 'a long video', String(video.length))
        await store(what, video)
        const page = await browser.newPage()
        const asked = rangesOf(page)
        await page.goto(`${origin}/#${encodeURIComponent(what)}`)
        assert.equal(await page.evaluate(LOADED), seconds)
        for (const share of [0.75, 0.1, 0.95, 0.5]) {
          const time = Math.floor(share * seconds) + 0.55
          const [at, grey] = (await page.evaluate(seek(time))) as [number, number] // what it gives
          assert.equal(at, time)
          assert.ok(Math.abs(grey - greyAt(time)) < 8, `grey ${grey} at ${time}`)
          // What lies before is not loaded.
          if (share === 0.75 && isLong) assert.ok(bytesFromS3() < 0.7 * video.length, String(bytesFromS3()))
        }
        assert.ok(((await page.evaluate(PLAY)) as number) >= 1)
        await page.close()
        // What it keeps it asks for too: that has not changed.
        const isRange = ({ range, status }: Asked): boolean => range !== undefined && [206, 304].includes(status)
        assert.ok(asked.length > 0 && asked.every(isRange), JSON.stringify(asked))
        if (isLong) assert.ok(new Set(asked.map(({ range }) => range)).size >= 4, JSON.stringify(asked))
      })
    }
  })
})

/** Waits until a number stays the same. */
async function settled(count: () => number): Promise<void> {
  for (let last = -1; last !== count();) {
    last = count()
    await setTimeout(500)
  }
}

/** What a page asks for. */
interface Asked {
  readonly range: string | undefined
  readonly status: number
}

/** What it asks for of videos, from now on. */
function rangesOf(page: Page): Asked[] {
  const asked: Asked[] = []
  page.on('response', (response) => {
    if (!response.url().includes('/videos/')) return
    asked.push({ range: response.request().headers()['range'], status: response.status() })
  })
  return asked
}

/** Programs for the page: its length, once the first picture is there. */
const LOADED = `new Promise((resolve, reject) => {
  const video = document.querySelector('video')
  video.onerror = () => reject(new Error(video.error.message))
  if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) resolve(video.duration)
  else video.onloadeddata = () => resolve(video.duration)
})`

/** Plays for a second, and stops; gives how long that was. */
const PLAY = `new Promise((resolve, reject) => {
  const video = document.querySelector('video')
  const start = video.currentTime
  video.ontimeupdate = () => {
    if (video.currentTime < start + 1) return
    video.pause()
    video.ontimeupdate = null
    resolve(video.currentTime - start)
  }
  video.muted = true
  video.play().catch(reject)
})`

/** Goes to a time; gives where that is, and the grey of what is shown there. */
function seek(time: number): string {
  return `new Promise((resolve, reject) => {
    const video = document.querySelector('video')
    const updated = new Promise((resolve) => { video.ontimeupdate = resolve })
    const seeked = new Promise((resolve) => { video.onseeked = resolve })
    video.onerror = () => reject(new Error(video.error.message))
    video.currentTime = ${time}
    Promise.all([updated, seeked]).then(() => {
      const context = new OffscreenCanvas(video.videoWidth, video.videoHeight).getContext('2d')
      context.drawImage(video, 0, 0)
      const [grey] = context.getImageData(video.videoWidth / 4, video.videoHeight / 2, 1, 1).data
      resolve([video.currentTime, grey])
    }).catch(reject)
  })`
}
