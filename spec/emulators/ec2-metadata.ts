/** amazon-ec2-metadata-mock: the instance metadata service of Amazon EC2 on loopback, installed into the cache folder. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { UnavailableError } from '../interop/pending.ts'
import { type Emulator, freePort } from './emulator.ts'

const VERSION = 'v1.13.0'
const PACKAGE = 'github.com/aws/amazon-ec2-metadata-mock/cmd/ec2-metadata-mock'
const INSTALL_TIMEOUT_MS = 240_000
const START_TIMEOUT_MS = 30_000

/**
 * Starts the service, with these bytes as the instance's user data. It asks for a session token (IMDSv2).
 *
 * @throws UnavailableError where there is no Go or the program can't be installed.
 */
export async function startEc2Metadata(userData: Buffer): Promise<Emulator> {
  const program = await installed()
  const folder = await mkdtemp(join(tmpdir(), 'esdk-ec2-metadata-'))
  const config = join(folder, 'config.json')
  await writeFile(config, JSON.stringify({ userdata: { values: { userdata: userData.toString('base64') } } }))
  const port = await freePort()
  const options = ['--hostname', '127.0.0.1', '--port', String(port), '--imdsv2', '--config-file', config]
  const child = spawn(program, options, { stdio: 'ignore', cwd: folder })
  const ended = once(child, 'exit').catch(() => undefined) // 'exitCode' says enough
  const kill = (): boolean => child.kill('SIGKILL')
  process.once('exit', kill)
  const stop = async (): Promise<void> => {
    process.off('exit', kill)
    if (child.exitCode === null && child.signalCode === null && kill()) await ended
    await rm(folder, { recursive: true, force: true })
  }
  const endpoint = `http://127.0.0.1:${port}`
  const until = Date.now() + START_TIMEOUT_MS
  while (child.exitCode === null && Date.now() < until) {
    const answer = await fetch(`${endpoint}/latest/user-data`).catch(() => undefined)
    await answer?.body?.cancel()
    if (answer !== undefined) return { endpoint, port, stop }
    await setTimeout(20)
  }
  await stop()
  throw new Error('the metadata service does not answer')
}

/** The program, built by `go install` the first time. */
async function installed(): Promise<string> {
  const folder = fileURLToPath(new URL(`../../.cache/ec2-metadata-mock-${VERSION}/`, import.meta.url))
  const program = join(folder, process.platform === 'win32' ? 'ec2-metadata-mock.exe' : 'ec2-metadata-mock')
  if (existsSync(program)) return program
  try {
    await promisify(execFile)('go', ['install', `${PACKAGE}@${VERSION}`], {
      env: { ...process.env, GOBIN: folder },
      timeout: INSTALL_TIMEOUT_MS,
    })
  } catch (error) {
    const reason = error instanceof Error ? error.message.trim().split('\n').at(-1) : String(error)
    throw new UnavailableError(`amazon-ec2-metadata-mock could not be installed with Go: ${reason ?? ''}`)
  }
  return program
}
