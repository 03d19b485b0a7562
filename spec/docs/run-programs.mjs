/** Runs programs in this process, one after the other, each in a folder of its own; tells of each in one line of JSON. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'
import { format } from 'node:util'

const { console } = globalThis
const [folder, ...names] = process.argv.slice(2)
let printed = []
console.log = (...values) => printed.push(format(...values))

for (const name of names) {
  printed = []
  const own = join(folder, 'files', name)
  mkdirSync(own, { recursive: true })
  process.chdir(own)
  let error
  try {
    await import(pathToFileURL(join(folder, `${name}.js`)).href)
  } catch (cause) {
    error = cause instanceof Error ? cause.stack : String(cause)
  }
  process.stdout.write(`${JSON.stringify({ name, printed: printed.join('\n'), error })}\n`)
}
// A server of an example would go on serving.
process.exit()
