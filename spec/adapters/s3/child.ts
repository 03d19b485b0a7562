/** Programs of a few lines in a process of their own, for what can't be seen from inside. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import type { S3Server } from '../../emulators/s3-setup.ts'

const root = resolve(import.meta.dirname, '..', '..', '..')

const HEAD = `
import { S3Client } from '@aws-sdk/client-s3'
import { RawAesKeyring } from 'esdk-streams'
import { getObject, openObject, putObject, reencryptObject } from 'esdk-streams/s3'
const keyring = new RawAesKeyring({ keyNamespace: 'spec', keyName: 'key', wrappingKey: Uint8Array.from({ length: 32 }, (_, i) => i + 1) })
const client = new S3Client({ forcePathStyle: true, maxAttempts: 2 })
const Bucket = process.env.BUCKET
`

/** What a program printed. It has to end by itself. */
export async function runProgram(
  { environment, bucket }: Pick<S3Server, 'environment' | 'bucket'>,
  code: string,
  timeoutMs = 60_000,
): Promise<string> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', HEAD + code], {
    cwd: root,
    env: { ...process.env, ...environment, BUCKET: bucket, NODE_OPTIONS: '', NODE_NO_WARNINGS: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  })
  const ended = new Promise<number | null>((done) => child.on('close', done))
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
  assert.deepEqual([await ended, errors], [0, ''])
  return output
}

/** By how many bytes a program's peak memory grows by some work, after some other that loads and warms up everything. */
export async function memoryOf(
  server: S3Server,
  { shared, warmUp, work }: Readonly<Record<'shared' | 'warmUp' | 'work', string>>,
): Promise<number> {
  const environment = { ...server.environment, AWS_ENDPOINT_URL_S3: server.behind }
  const code = `
    const peak = () => process.resourceUsage().maxRSS * 1024
    ${shared}
    ${warmUp}
    const before = peak()
    ${work}
    console.log(peak() - before)`
  return Number(await runProgram({ environment, bucket: server.bucket }, code, 300_000))
}
