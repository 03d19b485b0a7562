/** What runs here. */
import { readFileSync } from 'node:fs'
import { asUsage } from './failure.ts'

/** What `--version --json` prints. */
export interface VersionRecord {
  readonly version: string
  /** What seals and opens frames here: see ESDK_ENGINE in docs/performance.md. */
  readonly engine: 'native' | 'node'
  readonly node: string
  readonly openssl: string
}

/** The package's version. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version // our own file
}

/** @throws UsageError where ESDK_ENGINE can't be followed and names no engine. */
export async function versionRecord(): Promise<VersionRecord> {
  const { cryptoEngine } = await import('../crypto/engine.ts')
  const { name: engine } = asUsage(cryptoEngine)
  const { node, openssl } = process.versions
  return { version: packageVersion(), engine, node, openssl }
}
