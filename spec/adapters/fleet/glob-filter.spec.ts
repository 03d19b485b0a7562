import assert from 'node:assert/strict'
import { globFilter } from '#lib/adapters/fleet/glob-filter'

const NAMES = ['a.log', 'b.txt', '.hidden.log', 'old/a.log', 'old/deep/c.txt', 'new/a.log.gz'] as const

function chosen(globs: Parameters<typeof globFilter>[0]): string[] {
  return NAMES.filter(globFilter(globs))
}

describe('globFilter', () => {
  it('lets everything through unless said otherwise', () => {
    assert.deepEqual(chosen({}), NAMES)
  })

  it('takes a pattern without a slash for one of the last part, in any folder', () => {
    assert.deepEqual(chosen({ include: ['*.log'] }), ['a.log', '.hidden.log', 'old/a.log'])
    assert.deepEqual(chosen({ exclude: ['a.*'] }), ['b.txt', '.hidden.log', 'old/deep/c.txt'])
  })

  it('takes all others for those of the whole name', () => {
    assert.deepEqual(chosen({ include: ['old/*'] }), ['old/a.log'])
    assert.deepEqual(chosen({ include: ['old/**', '**/*.gz'] }), ['old/a.log', 'old/deep/c.txt', 'new/a.log.gz'])
  })

  it('leaves out what is excluded, even where it is included', () => {
    assert.deepEqual(chosen({ include: ['*.{log,txt}'], exclude: ['old/**', '.*'] }), ['a.log', 'b.txt'])
  })
})
