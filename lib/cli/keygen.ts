/** `esdk keygen`. */
import { Command } from 'commander'
import { addNotes } from './command-notes.ts'
import { FileFailure, UsageError } from './failure.ts'
import { STANDARD_STREAM, checkedLocation } from './location.ts'

const KEY_BYTES = 32

const NOTES = `
The key is the only way to what it encrypts: keep a copy of KEYFILE in a safe place.

Example:
  $ esdk keygen backup.jwk`

/** The subcommand. */
export function keygenCommand(): Command {
  const command = new Command('keygen')
    .summary('make a key')
    .description(
      'Writes a new 256-bit AES key to KEYFILE, as a JWK that only its owner can read. Never overwrites a file.',
    )
    .argument('<KEYFILE>', 'the file to make')
    .option('--debug', 'where it fails, say also what caused that')
    .action(run)
  return addNotes(command, NOTES)
}

async function run(path: string): Promise<void> {
  if (path === STANDARD_STREAM) throw new UsageError('KEYFILE expected a path: a key is not for a terminal')
  checkedLocation('OUTPUT', path)
  const [{ randomBytes, randomUUID }, { open, unlink }, { DEFAULT_KEY_NAMESPACE }] = await Promise.all([
    import('node:crypto'),
    import('node:fs/promises'),
    import('./key-file.ts'),
  ])
  const jwk = {
    kty: 'oct',
    kid: randomUUID(),
    namespace: DEFAULT_KEY_NAMESPACE,
    k: randomBytes(KEY_BYTES).toString('base64url'),
  }
  try {
    const file = await open(path, 'wx', 0o600)
    try {
      await file.chmod(0o600) // whatever the umask
      await file.writeFile(`${JSON.stringify(jwk, undefined, 2)}\n`)
      await file.sync()
    } catch (error) {
      await unlink(path)
      throw error
    } finally {
      await file.close()
    }
  } catch (cause) {
    throw new FileFailure(path, cause)
  }
}
