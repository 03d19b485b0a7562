/**
 * Prints a bill of materials (CycloneDX) of all that is installed with the package. `npm sbom --omit dev` leaves out much of
 * that, so npm is shown a project without what is only for development.
 *
 *     node --import tsx scripts/sbom.ts > sbom.cdx.json
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

interface Lock {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly link?: boolean }>>
}

const folder = mkdtempSync(path.join(tmpdir(), 'esdk-sbom-'))
try {
  const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as object // our own file
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as Lock // npm's own file
  const kept = Object.entries(lock.packages).filter(
    ([name, { dev, link }]) => dev !== true && link !== true && (name === '' || name.startsWith('node_modules/')),
  )
  const packages = Object.fromEntries(
    kept.map(([name, entry]) => [name, name === '' ? { ...entry, devDependencies: undefined } : entry]),
  )
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ ...manifest, devDependencies: undefined }))
  writeFileSync(path.join(folder, 'package-lock.json'), JSON.stringify({ ...lock, packages }))
  const args = ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only']
  process.stdout.write(execFileSync('npm', args, { cwd: folder, maxBuffer: 2 ** 26 }))
} finally {
  rmSync(folder, { recursive: true })
}
