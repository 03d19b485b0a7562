/** The Amazon DynamoDB table of a branch key store: framework/branch-key-store.md. Loads the AWS SDK's client at its first use. */
import { isError } from '../../../errors.ts'
import type * as DynamoDb from '@aws-sdk/client-dynamodb'
import { setTimeout } from 'node:timers/promises'
import type { CallOptions } from '../../../materials/keyring.ts'
import { sendOptions, withoutResponse } from '../kms-request.ts'
import { clientSettings } from '../kms-client.ts'
import { type BranchKeyItem, ID_NAME, TYPE_NAME, WRAPPED_KEY_NAME } from './branch-key-item.ts'

/** The part of an Amazon DynamoDB client that a branch key store uses. */
export type DynamoDbClient = Pick<DynamoDb.DynamoDBClient, 'send'>

/** An item to put: where there is none yet, or in the place of the one that holds this wrapped key. */
export interface BranchKeyWrite {
  readonly item: BranchKeyItem
  readonly replaces?: Uint8Array
}

/** Which table, and how it is reached. */
export interface BranchKeyTableOptions {
  readonly tableName: string
  /** One of our own unless said. */
  readonly client: DynamoDbClient | undefined
  /** The region and the patience of our own client. */
  readonly region: string | undefined
  readonly attemptTimeoutMs: number | undefined
}

const CREATION_TIMEOUT_MS = 120_000
const CREATION_POLL_MS = 500
const KEY_SCHEMA: DynamoDb.KeySchemaElement[] = [
  { AttributeName: ID_NAME, KeyType: 'HASH' },
  { AttributeName: TYPE_NAME, KeyType: 'RANGE' },
]

/** What the calls are made with. */
interface Connection {
  readonly sdk: typeof DynamoDb
  readonly client: DynamoDbClient
}

/**
 * Reads and writes items. Its failures are those of the AWS SDK, or an `Error` that says what is wrong.
 *
 * @throws RangeError when `attemptTimeoutMs` is unfit.
 */
export class BranchKeyTable {
  readonly #tableName: string
  readonly #client: DynamoDbClient | undefined
  readonly #settings: ReturnType<typeof clientSettings>
  #connection: Promise<Connection> | undefined

  constructor({ tableName, client, region, attemptTimeoutMs }: BranchKeyTableOptions) {
    this.#tableName = tableName
    this.#client = client
    this.#settings = clientSettings({ region, attemptTimeoutMs })
  }

  /** Makes the table unless it is there, and waits until it can be used; gives its ARN. */
  async create(options: CallOptions): Promise<string> {
    const until = performance.now() + CREATION_TIMEOUT_MS
    let table = await this.#describe(options)
    if (table === undefined) await this.#make(options)
    for (;;) {
      table ??= await this.#describe(options)
      if (table !== undefined) checkSchema(table)
      if (table?.TableArn !== undefined && table.TableStatus !== 'CREATING') return table.TableArn
      if (performance.now() > until) throw new Error('the table is still being created')
      await setTimeout(CREATION_POLL_MS, undefined, options)
      table = undefined
    }
  }

  /** The item, as it is now. @throws Error where there is none. */
  async get(branchKeyId: string, type: string, options: CallOptions): Promise<BranchKeyItem> {
    const { Item } = await this.#send(options, ({ sdk, client }) => {
      const Key = { [ID_NAME]: { S: branchKeyId }, [TYPE_NAME]: { S: type } }
      const command = new sdk.GetItemCommand({ TableName: this.#tableName, Key, ConsistentRead: true })
      return client.send(command, sendOptions(options))
    })
    if (Item === undefined) throw new Error(`the key store has no item ${JSON.stringify(type)} of it`)
    return Item
  }

  /** Puts all of the items, or none. */
  async put(writes: readonly BranchKeyWrite[], options: CallOptions): Promise<void> {
    try {
      await this.#send(options, ({ sdk, client }) => {
        const TransactItems = writes.map((write) => ({ Put: this.#putOf(write) }))
        return client.send(new sdk.TransactWriteItemsCommand({ TransactItems }), sendOptions(options))
      })
    } catch (error) {
      if (!isConditionFailure(error)) throw error
      const replaces = writes.some((write) => write.replaces !== undefined)
      const text = replaces ? 'it was versioned or changed meanwhile' : 'the key store has an item of it already'
      throw new Error(text, { cause: error })
    }
  }

  #putOf({ item, replaces }: BranchKeyWrite): DynamoDb.Put {
    const put = { TableName: this.#tableName, Item: item }
    const id = { '#id': ID_NAME }
    if (replaces === undefined) {
      return { ...put, ConditionExpression: 'attribute_not_exists(#id)', ExpressionAttributeNames: id }
    }
    return {
      ...put,
      ConditionExpression: 'attribute_exists(#id) AND #enc = :encOld',
      ExpressionAttributeNames: { ...id, '#enc': WRAPPED_KEY_NAME },
      ExpressionAttributeValues: { ':encOld': { B: replaces } },
    }
  }

  async #describe(options: CallOptions): Promise<DynamoDb.TableDescription | undefined> {
    try {
      const { Table } = await this.#send(options, ({ sdk, client }) =>
        client.send(new sdk.DescribeTableCommand({ TableName: this.#tableName }), sendOptions(options)),
      )
      return Table
    } catch (error) {
      if (nameOf(error) === 'ResourceNotFoundException') return undefined
      throw error
    }
  }

  async #make(options: CallOptions): Promise<void> {
    try {
      await this.#send(options, ({ sdk, client }) => {
        const command = new sdk.CreateTableCommand({
          TableName: this.#tableName,
          KeySchema: KEY_SCHEMA,
          AttributeDefinitions: KEY_SCHEMA.map(({ AttributeName }) => ({ AttributeName, AttributeType: 'S' })),
          BillingMode: 'PAY_PER_REQUEST',
        })
        return client.send(command, sendOptions(options))
      })
    } catch (error) {
      // Somebody else has just made it.
      if (nameOf(error) !== 'ResourceInUseException') throw error
    }
  }

  async #send<T>({ signal }: CallOptions, work: (connection: Connection) => Promise<T>): Promise<T> {
    signal?.throwIfAborted()
    this.#connection ??= this.#connect()
    const connection = await this.#connection
    signal?.throwIfAborted()
    try {
      return await work(connection)
    } catch (error) {
      throw withoutResponse(error, 'Amazon DynamoDB')
    }
  }

  async #connect(): Promise<Connection> {
    const sdk = await import('@aws-sdk/client-dynamodb')
    return { sdk, client: this.#client ?? new sdk.DynamoDBClient(this.#settings) }
  }
}

function checkSchema({ KeySchema = [], AttributeDefinitions = [] }: DynamoDb.TableDescription): void {
  const fits = KEY_SCHEMA.every(
    ({ AttributeName: name, KeyType: kind }) =>
      KeySchema.some(({ AttributeName, KeyType }) => AttributeName === name && KeyType === kind) &&
      AttributeDefinitions.some(({ AttributeName, AttributeType }) => AttributeName === name && AttributeType === 'S'),
  )
  if (!fits) throw new Error('the table is there, and its keys are not those of a key store')
}

function isConditionFailure(error: unknown): boolean {
  if (!isError(error)) return false
  const { CancellationReasons } = error as Partial<DynamoDb.TransactionCanceledException> // where it is one
  return CancellationReasons?.some(({ Code }) => Code === 'ConditionalCheckFailed') === true
}

function nameOf(error: unknown): string | undefined {
  return isError(error) ? error.name : undefined
}
