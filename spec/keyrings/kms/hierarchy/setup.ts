/** Branch key stores on the emulator behind the proxy, for all specs of this folder. */
import assert from 'node:assert/strict'
import {
  type AttributeValue,
  DeleteItemCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
} from '@aws-sdk/client-dynamodb'
import { BranchKeyStore, type BranchKeyStoreOptions } from 'esdk-streams/kms'
import { type KmsServer, useKmsServer } from '../setup.ts'

/** The logical name of all stores that specs make, unless they say another. */
export const LOGICAL_NAME = 'a logical name'

export type Item = Record<string, AttributeValue>

/** The AWS SDK's own client, as a user makes it for an emulator. */
export function dynamoDbAt(endpoint: string, region = 'us-east-1'): DynamoDBClient {
  const credentials = { accessKeyId: 'spec', secretAccessKey: 'spec' }
  return new DynamoDBClient({ region, endpoint, credentials, maxAttempts: 2 })
}

let tables = 0

/** A name that no table has. */
export function newTableName(): string {
  return `branch-keys-${process.pid}-${++tables}`
}

/** A table with a branch key, and stores of it. */
export class Table {
  readonly #server: KmsServer
  readonly #dynamoDb: DynamoDBClient
  readonly #proxied: DynamoDBClient
  readonly name: string

  constructor(server: KmsServer, name: string) {
    this.#server = server
    this.name = name
    this.#dynamoDb = dynamoDbAt(server.behind)
    this.#proxied = dynamoDbAt(server.endpoint)
  }

  /** A store of the table: under the server's first key, by way of the proxy, unless said. */
  store(changes: Partial<BranchKeyStoreOptions> = {}): BranchKeyStore {
    return new BranchKeyStore({
      tableName: this.name,
      logicalKeyStoreName: LOGICAL_NAME,
      kmsConfiguration: { kmsKeyArn: this.#server.keys[0]! },
      clientProvider: this.#server.clientProvider,
      dynamoDbClient: this.#proxied,
      ...changes,
    })
  }

  /** A store with clients of its own, which find their settings in the environment. */
  ownStore(changes: Partial<BranchKeyStoreOptions> = {}): BranchKeyStore {
    const kmsConfiguration = { kmsKeyArn: this.#server.keys[0]! }
    return new BranchKeyStore({ tableName: this.name, logicalKeyStoreName: LOGICAL_NAME, kmsConfiguration, ...changes })
  }

  /** All items of a branch key, in the order of their types. */
  async items(branchKeyId: string): Promise<Item[]> {
    const { Items } = await this.#dynamoDb.send(
      new QueryCommand({
        TableName: this.name,
        KeyConditionExpression: '#id = :id',
        ExpressionAttributeNames: { '#id': 'branch-key-id' },
        ExpressionAttributeValues: { ':id': { S: branchKeyId } },
      }),
    )
    return Items ?? []
  }

  async item(branchKeyId: string, type: string): Promise<Item> {
    const Key = { 'branch-key-id': { S: branchKeyId }, type: { S: type } }
    const { Item } = await this.#dynamoDb.send(new GetItemCommand({ TableName: this.name, Key }))
    assert.ok(Item !== undefined)
    return Item
  }

  async put(item: Item): Promise<void> {
    await this.#dynamoDb.send(new PutItemCommand({ TableName: this.name, Item: item }))
  }

  async delete({ type, 'branch-key-id': id }: Item): Promise<void> {
    const Key = { 'branch-key-id': id!, type: type! }
    await this.#dynamoDb.send(new DeleteItemCommand({ TableName: this.name, Key }))
  }
}

/** The emulator, and a table for the suite that calls this. */
export function useTable(): { readonly server: KmsServer; readonly table: Table } {
  const kms = useKmsServer()
  const shared: { table?: Table } = {}

  before(async () => {
    shared.table = new Table(kms.server, newTableName())
    await shared.table.store({ dynamoDbClient: dynamoDbAt(kms.server.behind) }).createKeyStore()
  })

  return {
    get server() {
      return kms.server
    },
    get table() {
      return shared.table!
    },
  }
}

/** The operations that were asked, in their order. */
export function operations({ proxy }: KmsServer): string[] {
  return proxy.asked.map(({ operation }) => operation)
}
