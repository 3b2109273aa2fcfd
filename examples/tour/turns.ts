import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { check, detail, indent, pick, root, run, title } from './steps.ts'

const workflow = 'site'
const [writer, editor] = ['run_writer1', 'run_editor1']
const asWriter = ['--actor', 'agent-3']
const asEditor = ['--actor', 'agent-4']
const promotion = pick('outcome', 'promoted_stems', 'deleted_stems', 'files')
const refusal = pick('code', 'message')

/** The tour's steps about turns. Returns the seq of turn 2. */
export function turnsOfAgents(): number {
  startRuns()
  const second = threeTurns()
  staleToken()
  onDisk()
  return second
}

function startRuns(): void {
  title('12. Two agents build one site, in two runs of one workflow')
  for (const [id, agent] of [
    [writer, 'agent-3'],
    [editor, 'agent-4'],
  ] as const) {
    const of = ['--kind', 'orchestrator', '--run-id', id, '--for', agent, '--workflow', workflow]
    run(['run', 'create', ...of], { show: pick('run_id', 'status') })
    run(['--actor', agent, 'run', 'start', id], { show: pick('run_id', 'status', 'last_promoted_turn_id') })
  }
}

function threeTurns(): number {
  title('13. Three turns are staged, validated and promoted in strict order; broken links are rejected')
  const first = stage('turn-0001', { home: { links: { next: { type: 'page', id: 'about' } } } })
  run([...asWriter, 'turn', 'stage', ...first], { show: pick('outcome', 'counts') })
  const verdict = run([...asWriter, 'turn', 'validate', '--run', writer, '--turn', 'turn-0001'], {
    expect: 5,
    show: ({ issues, outcome }) => ({
      outcome,
      issues: (issues as object[]).map(({ code, location }: Issue) => ({ code, location })),
    }),
  })
  check(codesIn(verdict).includes('E_LSI_ORPHAN_TARGET'), 'a link to a missing page is an orphan')

  const mended = stage('turn-0001', { home: { links: { next: { type: 'page', id: 'about' } } }, about: {}, draft: {} })
  run([...asWriter, 'turn', 'apply', ...mended], { isKey: true, show: promotion })
  const early = stage('turn-0003', { contact: {} })
  const outOfOrder = run([...asWriter, 'turn', 'apply', ...early], { expect: 5, show: refusal })
  check(outOfOrder.code === 'E_PROMOTION_OUT_OF_ORDER', 'turn 3 cannot be promoted before turn 2')

  const second = stage('turn-0002', { contact: {} }, ['draft'])
  const promoted = run([...asWriter, 'turn', 'apply', ...second], { show: promotion })
  check(JSON.stringify(promoted.deleted_stems) === '["draft"]', 'only a tombstone deletes a stem')
  const third = stage('turn-0003', { home: { version: 2, links: { next: { type: 'page', id: 'contact' } } } })
  run([...asWriter, 'turn', 'apply', ...third], { show: promotion })
  return Number(promoted.seq)
}

function staleToken(): void {
  title('14. The writer’s lease expires, the editor takes over and promotes, and the late writer is refused')
  const late = stage('turn-0004', { about: { version: 9 } })
  run([...asWriter, 'turn', 'stage', ...late], { show: pick('outcome', 'counts') })
  run([...asWriter, 'turn', 'validate', '--run', writer, '--turn', 'turn-0004'], { show: pick('outcome') })
  const stale = run([...asWriter, 'lock', 'acquire', 'site', '--holder', 'agent-3', '--lease', '1'], {
    show: pick('name', 'token'),
  })
  const fresh = takeOver()
  // Another run wrote this page, so the editor states what it has seen: body, links and manifest.
  const seen = run(['stem', 'show', 'about', '--workflow', workflow], { show: pick('triplet_digest') })
  const { triplet_digest } = seen as { triplet_digest: string }
  const taken = stage('turn-0001', { about: { version: 2 } }, [], editor)
  writeFileSync(join(root, 'out', editor, 'turn-0001/_base.json'), JSON.stringify({ about: triplet_digest }))
  run([...asEditor, 'turn', 'apply', ...taken, '--guard', `site@${fresh.token}`], { isKey: true, show: promotion })
  const woken = run(
    [...asWriter, 'turn', 'promote', '--run', writer, '--turn', 'turn-0004', '--guard', `site@${stale.token}`],
    {
      expect: 5,
      show: refusal,
    },
  )
  check(woken.code === 'STALE_TOKEN', 'the old token is refused')
  const shown = run(['stem', 'show', 'about', '--workflow', workflow], { show: pick('body') })
  check((shown.body as { version?: number }).version === 2, 'the editor’s page is unchanged')
}

function onDisk(): void {
  title('15. The workspace on disk follows the ledger, and always shows one complete tree')
  const folder = join(root, 'workspace/workflow', workflow)
  const current = join(folder, 'current')
  const files = readdirSync(`${current}/`, { recursive: true, encoding: 'utf8' }).sort()
  const shown = files.filter((name) => lstatSync(join(current, name)).isFile())
  detail(`  workspace/workflow/${workflow}/current -> ${readlinkSync(current)}\n${indent(indent(shown.join('\n')))}`)
  detail(indent(readFileSync(join(current, '_index/refs/by_id/page/contact.json'), 'utf8')))
  check(!shown.some((name) => name.startsWith('draft.')), 'the deleted stem has no files')
  check(shown.includes('contact.body.json'), 'the promoted stem has its files')
  run(['stem', 'check', '--workflow', workflow], { isKey: true, show: pick('files') })
}

/** The editor waits until the writer's lease expires. */
function takeOver(): Record<string, unknown> {
  const words = ['lock', 'acquire', 'site', '--holder', 'agent-4', '--lease', '10m', '--wait', '10']
  return run([...asEditor, ...words], { show: pick('name', 'token') })
}

interface Page {
  links?: object
  version?: number
}

/** Writes the files of a turn, as an agent would, and returns the arguments that name them. */
function stage(turnId: string, pages: Record<string, Page>, deleted: string[] = [], runId = writer): string[] {
  const directory = join(root, 'out', runId, turnId)
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  const write = (name: string, content: object) => writeFileSync(join(directory, name), `${JSON.stringify(content)}\n`)
  for (const [stem, { links = {}, version = 1 }] of Object.entries(pages)) {
    write(`${stem}.body.json`, { dto_type: 'page', id: stem, version })
    write(`${stem}.links.json`, links)
    write(`${stem}.manifest.json`, { made_by: runId })
  }
  for (const stem of deleted) {
    const of = { dto_type: 'page', id: stem, deleted_by_turn_id: turnId }
    write(`${stem}.tombstone.json`, { kind: 'tombstone', stem, ...of })
  }
  return ['--run', runId, '--turn', turnId, '--from', directory]
}

interface Issue {
  code?: string
  location?: string
}

function codesIn({ issues }: Record<string, unknown>): (string | undefined)[] {
  return (issues as Issue[]).map(({ code }) => code)
}
