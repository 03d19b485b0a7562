/** aws-encryption-cli, the command of the AWS Encryption SDK for Python, installed into the checkout's cache folder. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type Outcome, outcome } from '../cli/command.ts'
import { pythonEnvironment } from './python-environment.ts'

/** Its entry point: a script of the environment would name the folder that it was made in. */
const PROGRAM = `
import sys
from aws_encryption_sdk_cli import cli
sys.argv[0] = 'aws-encryption-cli'
sys.exit(cli())
`

/** The folder of its provider of raw keys: see the file there. */
const PLUGIN = fileURLToPath(new URL('aws-encryption-cli-keys', import.meta.url))

/** The command. */
export class AwsEncryptionCli {
  readonly python: string

  private constructor(python: string) {
    this.python = python
  }

  /**
   * The first time, installs it.
   *
   * @throws UnavailableError where there is no Python that is new enough, or the packages can't be installed.
   */
  static async installed(): Promise<AwsEncryptionCli> {
    const python = await pythonEnvironment({
      what: 'aws-encryption-cli',
      folder: 'aws-encryption-cli',
      requirements: new URL('aws-encryption-cli-requirements.txt', import.meta.url),
      minimumMinor: 10,
    })
    return new AwsEncryptionCli(python)
  }

  /** Runs it in a folder to its end. */
  async run(folder: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
    const child = spawn(this.python, ['-B', '-c', PROGRAM, ...args], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, COLUMNS: '500', PYTHONPATH: PLUGIN, ...env },
    })
    return outcome(child)
  }
}

/** The command as a function of bash. */
export function shellFunction({ python }: AwsEncryptionCli): string {
  const program = PROGRAM.replaceAll("'", `'"'"'`)
  return `aws-encryption-cli() { PYTHONPATH='${PLUGIN}' '${python}' -B -c '${program}' "$@"; }`
}
