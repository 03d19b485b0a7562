import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, sep } from 'node:path'
import fc from 'fast-check'
import { listFolder } from '#lib/adapters/fleet/list-folder'
import { isWithin, makeFolders, pathInTree } from '#lib/adapters/fleet/tree'

describe('trees of files', () => {
  let folder = ''
  const of = (...names: string[]): string => join(folder, ...names)

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'esdk-tree-'))
  })

  afterEach(() => rm(folder, { recursive: true }))

  describe('pathInTree', () => {
    it('refuses every name that would lead elsewhere', () => {
      const names = ['..', '../x', 'a/../../x', '/etc/passwd', 'a//b', './a', 'a/.', 'a/', '', 'a\0b']
      for (const name of names) assert.throws(() => pathInTree(folder, name), /is no name of a file in a folder/, name)
      assert.equal(pathInTree(folder, 'a/..b/...'), of('a', '..b', '...'))
    })

    it('leads into the tree, whatever the name', () => {
      const part = fc.constantFrom('..', '.', '', 'a', '...', '..a', 'b c', '~', '\0')
      fc.assert(
        fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
          let path: string
          try {
            path = pathInTree(folder, parts.join('/'))
          } catch {
            return
          }
          assert.ok(path.startsWith(`${folder}${sep}`) && path.length > folder.length + 1)
        }),
      )
    })
  })

  it('makes folders with the modes of those that they are copies of', async () => {
    await mkdir(of('from/private/open'), { recursive: true })
    await mkdir(of('from/closed'), { mode: 0o500 })
    await chmod(of('from'), 0o700)
    await chmod(of('from/private'), 0o700)
    await makeFolders(of('a/to'), of('a/to/private/open/file'), of('from'))
    await makeFolders(of('a/to'), of('a/to/closed/file'), of('from'))
    await makeFolders(of('a/to'), of('a/to/closed/file'), of('from'))
    const modes = await Promise.all(
      ['a/to', 'a/to/private', 'a/to/closed'].map(async (name) => (await stat(of(name))).mode & 0o777),
    )
    assert.deepEqual(modes, [0o700, 0o700, 0o700])
    await writeFile(of('file'), '')
    await assert.rejects(makeFolders(of('file'), of('file/x/y')), { code: 'ENOTDIR' })
  })

  it('knows what lies in a folder, through links and where nothing is yet', async () => {
    await mkdir(of('in/deep'), { recursive: true })
    await symlink(of('in/deep'), of('link'))
    for (const path of ['in', 'in/deep', 'in/no/such', 'link', 'link/no/such', 'in/..in']) {
      assert.equal(await isWithin(of('in'), of(path)), true, path)
    }
    for (const path of ['.', 'other', 'into', 'other/in']) {
      assert.equal(await isWithin(of('in'), of(path)), false, path)
    }
  })

  it('are listed without what is no file, in order', async () => {
    await mkdir(of('b/c'), { recursive: true })
    for (const name of ['z', 'b/a', 'b/c/x', '.esdk-01234567-89ab-cdef-0123-456789abcdef.tmp'])
      await writeFile(of(name), '')
    await symlink(of('b'), of('link'))
    await symlink(of('z'), of('b/link'))
    const entries: string[] = []
    for await (const { kind, name } of listFolder(folder)) entries.push(`${kind} ${name}`)
    const temporary = '.esdk-01234567-89ab-cdef-0123-456789abcdef.tmp'
    const expected = [`skipped ${temporary}`, 'file b/a', 'file b/c/x', 'skipped b/link', 'skipped link', 'file z']
    assert.deepEqual(entries, expected)
    await assert.rejects(listFolder(of('nothing')).next(), { code: 'ENOENT' })
  })
})
