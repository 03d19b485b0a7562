/**
 * Writes what the build makes from the definitions of the commands: the manual page, and the JSON Schema of
 * esdk.config.json. Run: `node scripts/generate.js`, after tsc; `npm run build` does.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CONFIG_SCHEMA } from '../dist/cli/config-schema.js'
import { commandTree } from '../dist/cli/command-tree.js'
import { manPage } from '../dist/cli/man-page.js'
import { program } from '../dist/cli/program.js'

const root = join(import.meta.dirname, '..')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

writeFileSync(join(root, 'dist/esdk.1'), manPage(commandTree(program(), []), version))
writeFileSync(join(root, 'dist/esdk.config.schema.json'), `${JSON.stringify(CONFIG_SCHEMA, undefined, 2)}\n`)
