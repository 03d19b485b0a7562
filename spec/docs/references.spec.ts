/** What the documentation names in backticks exists: exports, options, error codes, options of the command, scripts. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CONFIG_SCHEMA } from '#lib/cli/config-schema'
import type { FileRecord } from '#lib/cli/record'
import { ALGORITHM_SUITES } from 'esdk-streams/format'
import {
  clientNodeNames,
  commandOptions,
  declaredNames,
  environmentNames,
  internalNames,
  nodeNames,
  propertiesOf,
  scripts,
} from './known-names.ts'
import { type Mention, type Page, allPages, pageOf, root, show } from './markdown.ts'

/** Names of others that all pages may speak of: of services of AWS, and of npm. */
const OF_OTHERS: readonly string[] = [
  ...['KMSClient', 'S3Client', 'GenerateDataKey', 'KEY_AGREEMENT', 'AbortIncompleteMultipartUpload', 'AbortError'],
  ...[
    'AccessDeniedException',
    'IncorrectKeyException',
    'InvalidCiphertextException',
    'ThrottlingException',
    'TimeoutError',
  ],
  ...[
    'NoSuchKey',
    'NoSuchBucket',
    'AccessDenied',
    'AWS_REGION',
    'AWS_PROFILE',
    'NO_COLOR',
    'AWS_ENDPOINT_URL',
    'AWS_ENDPOINT_URL_S3',
  ],
  ...['requestChecksumCalculation', 'WHEN_REQUIRED', '--ignore-scripts', '--permission', '--no-addons', 'utf8Sorting'],
]

/** Those of the SDKs and the command for Python. */
const OF_PYTHON: readonly string[] = [
  ...['EncryptionSDKClient', 'StrictAwsKmsMasterKeyProvider', 'DiscoveryAwsKmsMasterKeyProvider', 'DiscoveryFilter'],
  ...['MRKAwareStrictAwsKmsMasterKeyProvider', 'CachingCryptoMaterialsManager', 'LocalCryptoMaterialsCache'],
  ...['commitment_policy', 'max_encrypted_data_keys', 'key_provider', 'key_ids', 'account_ids', '_get_raw_key'],
  ...['frame_length', 'source_length', 'max_body_length', 'encryption_context', 'materials_manager', 'max_age'],
  ...['partition_name', 'key_provider_id', 'AlgorithmSuite', 'NotSupportedError', 'SerializationError', 'InvalidTag'],
  ...['DecryptKeyError', 'MasterKeyProviderError', 'EncryptKeyError', 'GenerateKeyError', 'ActionNotAllowedError'],
  ...['InvalidSignature'],
]

/** Of Node's channels, and operations of Amazon S3. */
const OF_TRACING: readonly string[] = ['diagnostics_channel', 'asyncStart', 'asyncEnd', 'UploadPart', 'GetObject']

/** The options of `aws-encryption-cli`. */
const OF_ITS_COMMAND: readonly string[] = [
  ...[
    '-e',
    '--encrypt',
    '-d',
    '--decrypt',
    '--decrypt-unsigned',
    '-i',
    '--input',
    '-o',
    '--output',
    '-w',
    '--wrapping-keys',
  ],
  ...['-c', '--encryption-context', '--algorithm', '--frame-length', '--max-length', '--max-encrypted-data-keys'],
  ...['--commitment-policy', '--caching', '--encode', '--decode', '-b', '--buffer', '--metadata-output', '-S'],
  ...['--suppress-metadata', '--overwrite-metadata', '--suffix', '--interactive', '--no-overwrite', '-r', '-R'],
  ...['--recursive', '-v', '-q', '--quiet', '--version', '-m', '--master-keys', '-h', '--help'],
]

/** What pages besides may speak of. */
const FOREIGN: Readonly<Record<string, () => Iterable<string>>> = {
  'README.md': () => ['InputStream', 'OutputStream', '--buffer'],
  'CONTRIBUTING.md': internalNames,
  'docs/inspect.md': internalNames, // members of its record
  'docs/keys.md': () => OF_PYTHON,
  'docs/observability.md': () => OF_TRACING,
  'docs/packaging.md': () => ['moduleResolution', 'node_modules'],
  'docs/migrating-from-client-node.md': clientNodeNames,
  'docs/migrating-from-python.md': () => OF_PYTHON,
  'docs/migrating-from-aws-encryption-cli.md': () => [...OF_ITS_COMMAND, 'provider_id'],
  'docs/command-line.md': ofTheCommand,
}

/** The members of a configuration and of a record, and what `--caching` takes. */
function ofTheCommand(): string[] {
  const { additionalProperties: profile } = CONFIG_SCHEMA.properties!['profiles']!
  const properties = profile === false || profile === undefined ? {} : profile.properties!
  const members = Object.entries(properties).flatMap(([name, { properties: inner = {} }]) => [
    name,
    ...Object.keys(inner),
  ])
  const records: readonly (keyof FileRecord)[] = ['bytesIn', 'bytesOut', 'durationMs', 'previousVersionId']
  return [...members, ...records, 'max_age', 'max_messages_encrypted', 'max_bytes_encrypted']
}

const pages = allPages()
const suites = new Set(ALGORITHM_SUITES.flatMap(({ id, name }) => [name, `0x${id.toString(16).padStart(4, '0')}`]))

/** Words with a hump or an underscore in them: nobody writes one that is not a name. */
const NAME = /^[a-z$_]+[a-z0-9]*[A-Z_]\w*$|^[A-Z]+[a-z0-9]+[A-Z_]\w*$|^[A-Z][A-Z0-9]*_\w+$|^\w+(?=\()/

/** What is wrong with a mention; nothing where it is right, or is no name. */
function faultOf({ text, page }: Mention, foreign: ReadonlySet<string>): string | undefined {
  if (/^ERR_ESDK_/.test(text)) return declaredNames().has(text) ? undefined : 'is no error code'
  const script = /^npm run ([\w:-]+)/.exec(text)?.[1]
  if (script !== undefined) return scripts.has(script) ? undefined : 'is no script'
  if (/^0x[0-9a-fA-F]{4}$/.test(text)) return suites.has(text.toLowerCase()) ? undefined : 'is no algorithm suite'
  if (/^ALG_/.test(text)) return suites.has(text) ? undefined : 'is no algorithm suite'
  if (/^(?:kms|s3|dynamodb):[A-Z]\w+\*?$/.test(text)) return undefined // an action of AWS
  if (/^(?:esdk(?= |$)|--?[a-zA-Z])/.test(text)) return optionFault(text, foreign)
  if (/^(?:lib|spec|docs|examples|scripts|native|bench|fixtures)\/[\w./-]+$/.test(text)) {
    if (text === 'docs/api') return undefined // it is written by npm run docs
    const there = [join(root, text), join(root, dirname(page), text)].some((file) => existsSync(file))
    return there ? undefined : 'is no file'
  }
  const subpath = /^esdk-streams\/(.+)$/.exec(text)?.[1]
  if (subpath !== undefined)
    return ['kms', 's3', 'file', 'format', 'pkcs11', 'package.json'].includes(subpath) ? undefined : 'is no subpath'
  const unknown = namesIn(text).find(
    (name) => ![declaredNames(), suites, nodeNames(), environmentNames(), foreign].some((names) => names.has(name)),
  )
  return unknown === undefined ? undefined : `names ${unknown}, which does not exist`
}

/** The options of `esdk COMMAND …`, or of any command where none is named. */
function optionFault(text: string, foreign: ReadonlySet<string>): string | undefined {
  const command = /^esdk (?:help )?([a-z]+)/.exec(text)?.[1] ?? ''
  const known = /^esdk /.test(text) ? commandOptions().get(command) : anyOption()
  if (known === undefined) return `names no command of esdk: ${command}`
  const given = text.match(/(?<![\w-])--?[a-zA-Z][\w-]*/g) ?? []
  const unknown = given.find((option) => ![known, foreign].some((names) => names.has(option)))
  return unknown === undefined ? undefined : `names ${unknown}, which is no option`
}

/** Those of all commands. */
function anyOption(): ReadonlySet<string> {
  return new Set([...commandOptions().values()].flatMap((names) => [...names]))
}

/** The names in a piece of code that are the API's, and not words or variables. */
function namesIn(text: string): string[] {
  const code = text.replace(/'[^']*'|"[^"]*"/g, (quoted) => (/^.[\w$]*[A-Z_][\w$]*.$/.test(quoted) ? quoted : ''))
  if (/^[\w.-]+\.(?:ts|js|mjs|md|json|jwk|key|c|h|tar|encrypted|pem)$/.test(text) || /[\\/]/.test(text)) return []
  return [...code.matchAll(/[A-Za-z_$][\w$]*\(?/g)]
    .map(([name]) => name)
    .filter((name) => NAME.test(name))
    .map((name) => name.replace('(', ''))
}

/** Every word in the code of pages, in backticks and in blocks. */
function wordsOf(of: readonly Page[]): ReadonlySet<string> {
  const texts = of.flatMap(({ codes, blocks }) => [...codes.map(({ text }) => text), ...blocks.map(({ code }) => code)])
  return new Set(texts.flatMap((text) => text.match(/[A-Za-z_$][\w$]*/g) ?? []))
}

function foreignOf(page: string): ReadonlySet<string> {
  return new Set([...OF_OTHERS, ...(FOREIGN[page]?.() ?? [])])
}

/** The lines of a page's shell blocks that call `esdk`, and its npm scripts: as if they stood in backticks. */
function commandsOf({ blocks }: Page): Mention[] {
  return blocks
    .filter(({ language }) => language === 'sh')
    .flatMap(({ page, line, code }) => {
      const calls = /(?<![\w./-])(?:esdk [a-z]+[^|;&\n#<>]*|npm run [\w:-]+)/g
      return [...code.replace(/\\\n/g, ' ').matchAll(calls)].map(([text]) => ({ page, line, text }))
    })
}

function faultsOf(page: Page): string[] {
  const foreign = foreignOf(page.name)
  return [...page.codes, ...commandsOf(page)].flatMap((mention) => {
    const fault = faultOf(mention, foreign)
    return fault === undefined ? [] : [`${show(mention)} ${fault}`]
  })
}

describe('names in the documentation', () => {
  it('exist', function () {
    this.timeout(120_000) // declarations are read and the command is asked for its help
    assert.deepEqual(pages.flatMap(faultsOf), [])
  })

  it('are those of every class and function of the package', async () => {
    const subpaths = ['', '/file', '/s3', '/kms', '/pkcs11']
    const modules = await Promise.all(subpaths.map((path) => import(`esdk-streams${path}`) as Promise<object>))
    const spoken = wordsOf(pages.filter(({ name }) => name.startsWith('docs/')))
    assert.deepEqual(
      modules.flatMap((module) => Object.keys(module)).filter((name) => !spoken.has(name)),
      [],
    )
  })

  for (const [page, subpath, type] of [
    ['docs/options.md', '.', 'EncryptStreamOptions'],
    ['docs/options.md', '.', 'DecryptStreamOptions'],
    ['docs/caching.md', '.', 'CachingOptions'],
    ['docs/s3.md', './s3', 'UploadOptions'],
    ['docs/s3.md', './s3', 'ObjectSource'],
  ] as const) {
    it(`are those of every option of ${type}, in ${page}`, () => {
      const names = propertiesOf(subpath, type)
      assert.ok(names.length > 3)
      const spoken = wordsOf(pages.filter(({ name }) => name === page))
      assert.deepEqual(
        names.filter((name) => !spoken.has(name)),
        [],
      )
    })
  }

  it('are known from the declarations, and not from anywhere', () => {
    for (const name of ['EncryptStream', 'keyNamespace', 'ERR_ESDK_WRAP', 'IfNoneMatch', 'oaep-sha256']) {
      assert.ok(declaredNames().has(name), name)
    }
    for (const name of ['encryptSettings', 'KmsKeyringNode']) assert.ok(!declaredNames().has(name), name)
    const options = commandOptions()
    assert.ok(options.get('decrypt')!.has('--range') && !options.get('encrypt')!.has('--range'))
  })

  const STALE = [
    'ERR_ESDK_GONE',
    'EncryptionStream',
    'KmsKeyring.rotate()',
    'new RawAesKeyring({ keySpace })',
    'maxHeaderLength',
    "{ commitmentPolicy: 'x', frameSize: 4096 }",
    'decryptAll()',
    'esdk-streams/fs',
    '0x0579',
    'ALG_AES_256_GCM',
    '--no-such-option',
    'esdk encrypt --range 1-2',
    'esdk frobnicate',
    'npm run no-such-script',
    'lib/no/such-file.ts',
    'ESDK_STREAMS',
  ]

  for (const text of STALE) {
    it(`are stale where they are: ${text}`, () => {
      assert.equal(faultsOf(pageOf('docs/wrong.md', `Use \`${text}\` for that.`)).length, 1)
    })
  }

  it('are stale in a shell block, too', () => {
    const page = pageOf('docs/wrong.md', '```sh\necho a | esdk encrypt - --keyfile my.key\nnpm run nothing\n```')
    assert.equal(faultsOf(page).length, 2)
  })
})
