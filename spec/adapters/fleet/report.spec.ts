import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FleetReport, type ReportLine } from '#lib/adapters/fleet/report'

const KEY = { mode: 'encrypt', input: '/in/a\u2028b', output: '/out/a' } as const
const DONE: ReportLine = { ...KEY, status: 'done', version: '1 2', bytesIn: 1 }

describe('FleetReport', () => {
  let folder = ''
  let path = ''

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'esdk-report-'))
    path = join(folder, 'report.jsonl')
  })

  afterEach(() => rm(folder, { recursive: true }))

  async function reopened(): Promise<(version: string, key?: object) => boolean> {
    const report = await FleetReport.open(path)
    await report.close()
    return (version, key = {}) => report.isDone({ ...KEY, ...key }, version)
  }

  it('knows after a restart what was done, of which version, how and where', async () => {
    const report = await FleetReport.open(path)
    assert.equal(report.isDone(KEY, '1 2'), false)
    const others = Array.from({ length: 50 }, (_, index) => report.add({ ...DONE, input: `/in/${index}` }))
    await Promise.all([...others, report.add(DONE), report.add({ ...DONE, input: 'b', status: 'failed' })])
    await report.close()
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    const isDone = await reopened()
    assert.equal(isDone('1 2'), true)
    assert.equal(isDone('1 2', { input: '/in/49' }), true)
    assert.equal(isDone('1 3'), false)
    for (const other of [{ mode: 'decrypt' }, { output: '/other' }, { input: 'b' }])
      assert.equal(isDone('1 2', other), false)
  })

  it('takes away a last line that was cut off, and goes on after the others', async () => {
    const line = `${JSON.stringify(DONE)}\n`
    for (let length = 1; length < line.length; length += 17) {
      await writeFile(path, line + line.replace('/out/a', '/out/ä').slice(0, length))
      const report = await FleetReport.open(path)
      assert.equal(report.isDone(KEY, '1 2'), true)
      await report.add({ ...DONE, output: '/out/c' })
      await report.close()
      const lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
      assert.deepEqual(
        lines.map((text) => (JSON.parse(text) as ReportLine).output),
        ['/out/a', '/out/c'],
      )
    }
  })

  it('leaves what is no report as it is', async () => {
    for (const text of [
      'a letter\n',
      'a letter',
      `${JSON.stringify(DONE)}\n{}\n`,
      '{"status":"done"}\n',
      `x\n${JSON.stringify(DONE)}\n`,
    ]) {
      await writeFile(path, text)
      await assert.rejects(FleetReport.open(path), TypeError)
      assert.equal(await readFile(path, 'utf8'), text)
    }
  })
})
