import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { root as project } from '../runner.ts'

const documents = suite('the documents')
const pages = [...markdownIn('.'), ...markdownIn('docs', { recursive: true })]

function markdownIn(folder: string, { recursive = false } = {}): string[] {
  const names = readdirSync(join(project, folder), { recursive, encoding: 'utf8' })
  return names.filter((name) => name.endsWith('.md')).map((name) => join(folder, name))
}

documents("the README's library example runs as printed, and a second time", () => {
  const readme = readFileSync(join(project, 'README.md'), 'utf8')
  const [, example = ''] = /<!-- run by test\/docs\/documents\.test\.ts -->\n```ts\n([\s\S]*?)```/.exec(readme) ?? []
  assert.match(example, /openLedger/)
  const dir = mkdtempSync(join(tmpdir(), 'lockstep readme '))
  const file = join(dir, 'example.mts')
  const index = JSON.stringify(join(project, 'src/index.ts'))
  writeFileSync(
    file,
    example.replace("'lockstep'", index).replace('const ledger', `const dir = ${JSON.stringify(dir)}\nconst ledger`),
  )
  const tsx = join(project, 'node_modules/tsx/dist/loader.mjs')
  const typesOfRun = () => {
    const run = spawnSync(process.execPath, ['--import', tsx, file], { encoding: 'utf8' })
    assert.is(run.stderr, '')
    const lines = run.stdout.trim().split('\n')
    return lines.map((line) => line.split(' ')[1])
  }
  const [created, appended] = [
    ['ledger.created', 'policy.loaded'],
    ['lock.acquired', 'audit.recorded', 'lock.released'],
  ]
  assert.equal(typesOfRun(), [...created, ...appended])
  assert.equal(typesOfRun(), [...created, ...appended, ...appended])
  rmSync(dir, { recursive: true })
})

documents('link only to files that exist', () => {
  const broken = pages.flatMap((page) => {
    const targets = [...textOf(page).matchAll(/\]\((?!https?:)([^)#]*)(?:#[^)]*)?\)/g)].map(([, target = '']) => target)
    return targets
      .filter((target) => target !== '' && !existsSync(join(project, dirname(page), target)))
      .map((target) => `${page}: ${target}`)
  })
  assert.equal(broken, [])
})

documents('link only to headings that exist', () => {
  const missing = pages.flatMap((page) =>
    [...textOf(page).matchAll(/\]\((?!https?:)([^)#]*)#([^)]+)\)/g)]
      .map(([, path = '', anchor = '']) => ({ anchor, target: path === '' ? page : join(dirname(page), path) }))
      .filter(({ anchor, target }) => !anchorsOf(target).includes(anchor))
      .map(({ anchor, target }) => `${page}: ${target}#${anchor}`),
  )
  assert.equal(missing, [])
  assert.ok(anchorsOf('docs/how-to/runbook.md').includes('lease_lost-exit-76'))
})

const textOf = (page: string) => readFileSync(join(project, page), 'utf8')

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(page: string): string[] {
  return [...textOf(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  )
}

documents('every ADR is numbered, fits one page, and has context, decision and consequences', () => {
  const decisions = markdownIn('docs/adr').sort()
  assert.ok(decisions.length > 0)
  for (const [index, page] of decisions.entries()) {
    const text = readFileSync(join(project, page), 'utf8')
    assert.is(page.slice('docs/adr/'.length, 'docs/adr/'.length + 4), String(index + 1).padStart(4, '0'))
    assert.ok(text.split('\n').length <= 60, `${page} is one page`)
    for (const part of ['**Context.**', '**Decision.**', '**Consequences.**'])
      assert.ok(text.includes(part), `${page} has ${part}`)
  }
})

documents.run()
