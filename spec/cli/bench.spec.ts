import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { esdk, outcome, start, temporaryFolder } from './command.ts'

/** The shortest run measures everything once. */
const SHORT = ['bench', '--seconds', '1'] as const

interface Rate {
  readonly signed: boolean
  readonly frameLength?: number
  readonly length?: number
  readonly encrypt: number
  readonly decrypt: number
}

interface BenchRecord {
  readonly version: string
  readonly engine: string
  readonly node: string
  readonly openssl: string
  readonly cpu: string
  readonly cores: number
  readonly seconds: number
  readonly streams: readonly Rate[]
  readonly messages: readonly Rate[]
  readonly file?: Rate & { readonly path: string }
}

describe('esdk bench', () => {
  const folder = temporaryFolder()

  it('gives one record, with a file too, and leaves nothing beside it', async () => {
    await writeFile(folder.of('data'), randomBytes(3_000_000))
    const { code, stdout, stderr } = await esdk(folder.path, [...SHORT, 'data', '--json'], {
      env: { ESDK_ENGINE: 'node' },
    })
    assert.deepEqual([code, stderr], [0, ''])
    assert.equal(stdout.toString().split('\n').length, 2)
    const record = JSON.parse(stdout.toString()) as BenchRecord // written by the command
    assert.deepEqual(
      [record.engine, record.node, record.openssl, record.seconds],
      ['node', process.versions.node, process.versions.openssl, 1],
    )
    assert.match(record.version, /^\d+\.\d+\.\d+$/)
    assert.ok(record.cpu.length > 0 && record.cores > 0)
    assert.deepEqual(
      record.streams.map(({ signed, frameLength }) => [signed, frameLength]),
      [true, false].flatMap((signed) => [4096, 65536, 1048576].map((frameLength) => [signed, frameLength])),
    )
    assert.deepEqual(
      record.messages.map(({ signed, length }) => [signed, length]),
      [
        [true, 256],
        [false, 256],
      ],
    )
    const { file } = record
    assert.deepEqual([file?.path, file?.length, file?.signed, file?.frameLength], ['data', 3_000_000, true, 4096])
    for (const { encrypt, decrypt } of [...record.streams, ...record.messages, file!]) {
      assert.ok(encrypt > 0 && decrypt > 0 && Number.isFinite(encrypt + decrypt))
    }
    assert.deepEqual(await folder.names(), ['data'])
  })

  it('takes about as long as it is told, and shows a table as it goes', async () => {
    const begun = performance.now()
    const { code, stdout, stderr } = await esdk(folder.path, ['bench', '--seconds', '6'])
    const seconds = (performance.now() - begun) / 1000
    assert.deepEqual([code, stderr], [0, ''])
    // What is measured is measured once at least, which may take longer on a busy machine.
    assert.ok(seconds > 5.9 && seconds < 40, `${seconds} s`)
    const text = stdout.toString()
    assert.match(text, /^esdk-streams \S+, (native|node) engine, Node \S+, OpenSSL \S+\n[^\n]+ cores?\)\n\n/)
    assert.match(
      text,
      /\nstreams in memory, MiB\/s +encrypt +decrypt\n {2}signed, frames of 4096 bytes +[\d,]+ +[\d,]+\n/,
    )
    assert.match(text, /\nmessages a second +encrypt +decrypt\n {2}signed, of 256 bytes +[\d,]+ +[\d,]+\n/)
    assert.equal(
      new Set(
        text
          .split('\n')
          .slice(3, 10)
          .map((line) => line.length),
      ).size,
      1,
      'columns',
    )
  })

  it('refuses what is no file, before it measures', async () => {
    await mkdir(folder.of('folder'))
    await writeFile(folder.of('empty'), '')
    for (const [args, code, text] of [
      [['-'], 2, /FILE expected the path of a file/],
      [['s3://bucket/key'], 2, /FILE expected the path of a file/],
      [['folder'], 2, /folder: FILE expected a file, and this is none/],
      [['empty'], 2, /empty: FILE expected a file that is not empty/],
      [['missing'], 1, /missing: ENOENT.*; check the path/],
      [['--seconds', '0'], 2, /--seconds.*whole number/],
    ] as const) {
      const result = await esdk(folder.path, ['bench', ...args])
      assert.deepEqual([result.code, result.stdout.length], [code, 0], args.join(' '))
      assert.match(result.stderr, text)
      assert.match(result.stderr, /^esdk: [^\n]+\n$/)
    }
  })

  it('stops at a signal, whatever it does, and leaves nothing', async () => {
    await writeFile(folder.of('data'), randomBytes(50_000_000))
    const untilFile = async (): Promise<void> => {
      while ((await folder.names()).length === 1) await setTimeout(2)
    }
    for (const [seconds, reached, then] of [
      ['60', /streams in memory/, () => Promise.resolve()],
      ['1', /data into another file/, untilFile],
    ] as const) {
      const child = start(folder.path, ['bench', '--seconds', seconds, 'data'])
      const ended = outcome(child)
      let text = ''
      while (!reached.test(text)) text += String((await once(child.stdout!, 'data'))[0])
      await then()
      const begun = performance.now()
      child.kill('SIGINT')
      const { code, stderr } = await ended
      assert.deepEqual([code, stderr], [130, ''])
      assert.ok(performance.now() - begun < 10_000)
      assert.deepEqual(await folder.names(), ['data'])
    }
  })
})
