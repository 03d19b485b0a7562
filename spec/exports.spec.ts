/** What the package gives to its users, and under which subpath: one name, one subpath. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')

const NAMES: Readonly<Record<string, readonly string[]>> = {
  'esdk-streams': [
    'AuthenticationError',
    'CachingCryptographicMaterialsManager',
    'ChangedError',
    'DecryptStream',
    'DefaultCryptographicMaterialsManager',
    'EncryptStream',
    'EncryptionSdkError',
    'LengthError',
    'LimitError',
    'LocalCryptographicMaterialsCache',
    'MalformedMessageError',
    'MasterKeyProvider',
    'MultiKeyring',
    'PolicyError',
    'RawAesKeyring',
    'RawEcdhKeyring',
    'RawMasterKeyProvider',
    'RawRsaKeyring',
    'RequiredEncryptionContextCryptographicMaterialsManager',
    'StormTrackingCache',
    'TRACING_CHANNELS',
    'TransferError',
    'TruncatedMessageError',
    'UnsupportedError',
    'UnwrapError',
    'WrapError',
    'WrappingKey',
    'decrypt',
    'encrypt',
    'isEncryptionSdkError',
    'readHeader',
    'reencrypt',
  ],
  'esdk-streams/format': [
    'ALGORITHM_SUITES',
    'algorithmSuite',
    'bodyAad',
    'ciphertextLength',
    'encodeEncryptedDataKeys',
    'encodeEncryptionContext',
    'encodeHeaderAuthentication',
    'encodeMessageFooter',
    'encodeMessageHeader',
    'plaintextLengthOf',
    'readEncryptedDataKeys',
    'readEncryptionContext',
    'readFinalFrameStart',
    'readFrom',
    'readHeaderAuthentication',
    'readMessageFooter',
    'readMessageHeader',
    'readNonFramedStart',
  ],
  'esdk-streams/kms': [
    'BranchKeyStore',
    'KmsDiscoveryKeyring',
    'KmsEcdhKeyring',
    'KmsHierarchicalKeyring',
    'KmsKeyring',
    'KmsMasterKeyProvider',
    'KmsMrkDiscoveryKeyring',
    'KmsMrkKeyring',
    'KmsRsaKeyring',
    'cacheClients',
    'excludeRegions',
    'kmsClientProvider',
    'limitRegions',
  ],
  'esdk-streams/pkcs11': ['Pkcs11Keyring'],
  'esdk-streams/s3': ['getObject', 'openObject', 'putObject', 'reencryptObject'],
  'esdk-streams/file': ['decryptFile', 'encryptFile', 'openMessage', 'reencryptFile'],
}

/** Runs code in a process of its own, as a user's program beside the package would. */
function run(code: string, ...flags: string[]): string {
  return execFileSync(process.execPath, [...flags, '--input-type=module', '--eval', code], {
    cwd: root,
    encoding: 'utf8',
  }).trim()
}

describe('package exports', () => {
  for (const [subpath, expected] of Object.entries(NAMES)) {
    it(`gives exactly the documented names from ${subpath}`, async () => {
      const module = (await import(subpath)) as Record<string, unknown> // a module namespace
      assert.deepEqual(Object.keys(module).sort(), [...expected].sort())
      for (const name of expected) assert.notEqual(module[name], undefined)
    })
  }

  it('gives no name from two subpaths', () => {
    const all = Object.values(NAMES).flat()
    assert.equal(new Set(all).size, all.length)
  })

  it('has no other subpath than those, and package.json', () => {
    const { exports } = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')) as {
      exports: Record<string, unknown>
    } // our own file
    const subpaths = Object.keys(exports).filter((subpath) => subpath !== './package.json')
    assert.deepEqual(
      subpaths.map((subpath) => subpath.replace(/^\./, 'esdk-streams')).sort(),
      Object.keys(NAMES).sort(),
    )
  })

  it('can be required from CommonJS', () => {
    const code = `import { createRequire } from 'node:module'
      console.log(typeof createRequire(import.meta.url)('esdk-streams').EncryptStream)`
    assert.equal(run(code, '--no-warnings'), 'function')
  })

  /** The URLs of all modules that importing a subpath loads, and using it. */
  function loadedBy(subpath: string, use = ''): string[] {
    const hooks = `
      import { writeSync } from 'node:fs'
      export async function resolve(specifier, context, next) {
        const resolved = await next(specifier, context)
        writeSync(1, resolved.url + String.fromCharCode(10))
        return resolved
      }`
    const code = `import { register } from 'node:module'
      register('data:text/javascript,${encodeURIComponent(hooks).replaceAll("'", '%27')}')
      const loaded = await import('${subpath}')
      ${use}`
    return run(code, '--no-warnings').split('\n')
  }

  it('loads no AWS SDK, no file system module of its own and nothing of the command line', () => {
    const trace = loadedBy('esdk-streams')
    assert.ok(trace.some((url) => url.endsWith('/dist/index.js')))
    assert.deepEqual(
      trace.filter((url) => /@aws-sdk|@smithy|^node:fs|\/(cli|adapters)\//.test(url)),
      [],
    )
  })

  it('loads the client of AWS KMS for esdk-streams/kms, and no other', () => {
    const clients = loadedBy('esdk-streams/kms').flatMap((url) => /@aws-sdk\/client-[\w-]+/.exec(url)?.[0] ?? [])
    assert.deepEqual([...new Set(clients)], ['@aws-sdk/client-kms'])
  })

  it('loads pkcs11js for no subpath: the keyring does, when it is first used', () => {
    for (const subpath of ['esdk-streams', 'esdk-streams/pkcs11']) {
      const trace = loadedBy(subpath)
      assert.ok(trace.some((url) => url.includes('/dist/')))
      assert.deepEqual(
        trace.filter((url) => url.includes('/node_modules/pkcs11js/')),
        [],
      )
    }
  })

  it('loads the client of Amazon DynamoDB when a branch key store is first asked', () => {
    const made = `
      const keyStore = new loaded.BranchKeyStore({
        tableName: 'table',
        logicalKeyStoreName: 'table',
        kmsConfiguration: { kmsKeyArn: 'arn:aws:kms:us-east-1:111122223333:key/1' },
        dynamoDbClient: { send: () => Promise.reject(new Error('no network')) },
      })
      const keyring = new loaded.KmsHierarchicalKeyring({ keyStore, branchKeyId: 'a', ttlMs: 600_000 })
      keyStore.getKeyStoreInfo()`
    const asked = `${made}
      const materials = { suite: { keyBytes: 32 }, encryptionContext: {}, encryptedDataKeys: [] }
      await keyring.onEncrypt(materials).catch(() => undefined)`
    for (const [use, expected] of [
      [made, ['@aws-sdk/client-kms']],
      [asked, ['@aws-sdk/client-dynamodb', '@aws-sdk/client-kms']],
    ] as const) {
      const clients = loadedBy('esdk-streams/kms', use).flatMap((url) => /@aws-sdk\/client-[\w-]+/.exec(url)?.[0] ?? [])
      assert.deepEqual([...new Set(clients)].sort(), expected)
    }
  })

  it('is loaded in less than 60 ms, or on a slow machine hardly more than what Node itself takes to start', () => {
    // Where the machine is busy, the time that the process itself worked says more than the time that passed.
    const program = `const sum = ({ user, system }) => (user + system) / 1000
      const [start, worked] = [performance.now(), process.cpuUsage()]
      await import('esdk-streams')
      console.log(Math.min(performance.now() - start, sum(process.cpuUsage(worked))), sum(worked))`
    const runs = Array.from({ length: 15 }, () => run(program).split(' ').map(Number) as [number, number])
    const [loaded, started] = [0, 1].map((column) => runs.map((times) => times[column]!).sort((a, b) => a - b))
    const most = Math.max(60, 1.25 * started![0]!)
    assert.ok(loaded![0]! < most, `took ${loaded!.map((time) => time.toFixed(0)).join(', ')} ms, allowed ${most} ms`)
  })
})
