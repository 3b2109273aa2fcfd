import { suite } from 'uvu'
import { equal, is, ok, throws } from 'uvu/assert'
import type { HookEvent } from '../../src/hooks/event.ts'
import { type HarnessName, harnessNames, isBefore, written } from '../../src/hooks/forms.ts'
import { pathsOfPatch } from '../../src/hooks/harness/patch.ts'
import { readers } from '../../src/hooks/harnesses.ts'
import { hookDocument, hookDocuments } from './hook-documents.ts'

const read = (harness: HarnessName, name: string) => readers[harness](hookDocument(harness, name, '/app'))
const toolOf = (event: HookEvent) => ('tool' in event ? event.tool : undefined)

const reading = suite('the documents of harnesses')

reading('are all read, and say which event they are', () => {
  for (const harness of harnessNames) {
    for (const name of hookDocuments(harness)) {
      const event = read(harness, name)
      const kind = name.startsWith('before-')
        ? 'before_tool'
        : name.startsWith('after-')
          ? 'after_tool'
          : name.startsWith('session-start')
            ? 'session_start'
            : ({ 'session-end': 'session_end', 'subagent-stop': 'agent_end' }[name] ?? 'other')
      is(event.kind, kind, `${harness}: ${name}`)
      is(event.cwd, '/app', `${harness}: ${name}`)
      ok(event.session_id.length > 30)
    }
  }
})

reading('name the files of an edit as absolute paths', () => {
  for (const harness of harnessNames) equal(toolOf(read(harness, 'before-edit'))?.paths, ['/app/src/a.js'], harness)
  for (const harness of ['claude', 'cursor', 'gemini'] as const) {
    equal(toolOf(read(harness, 'before-write'))?.paths, ['/app/src/new.js'], harness)
  }
  equal(toolOf(read('claude', 'before-notebook'))?.paths, ['/app/plot.ipynb'])
  const four = ['/app/src/a.js', '/app/src/new.js', '/app/old.js', '/app/b.js', '/app/src/b.js']
  equal(toolOf(read('codex', 'before-patch-of-four'))?.paths, four)
  equal(toolOf(read('codex', 'before-patch-by-shell'))?.paths, ['/app/src/a.js'])
  is(toolOf(read('codex', 'before-patch-by-shell'))?.kind, 'shell')
  is(toolOf(read('codex', 'before-unreadable-patch'))?.paths, undefined)
  for (const harness of harnessNames) equal(toolOf(read(harness, 'before-shell'))?.paths, [], harness)
})

reading('name the agent within the session', () => {
  is(read('claude', 'before-edit').agent_id, undefined)
  is(read('claude', 'before-edit-by-subagent').agent_id, 'a7f3c09d1')
  is(read('claude', 'subagent-stop').agent_id, 'a7f3c09d1')
  is(read('cursor', 'subagent-stop').agent_id, 'sub-1')
})

reading('tell whether a tool failed, and how long it took', () => {
  const failed = { claude: 'after-failure', cursor: 'after-shell', gemini: 'after-failure' } as const
  for (const [harness, name] of Object.entries(failed)) {
    const event = read(harness as HarnessName, name)
    ok(event.kind === 'after_tool' && event.is_failure, harness)
  }
  const event = read('cursor', 'after-edit')
  ok(event.kind === 'after_tool' && !event.is_failure && event.duration_ms === 32)
})

reading('of Gemini CLI name a call by what was asked and when', () => {
  const [one, other] = [read('gemini', 'after-edit'), read('gemini', 'after-edit')].map(toolOf)
  is(one?.id, other?.id)
  ok(one?.id !== toolOf(read('gemini', 'after-failure'))?.id)
})

reading('are refused if a part that counts is missing or no id, and keep unknown members', () => {
  const good = hookDocument('claude', 'before-edit', '/app')
  is(readers.claude({ ...good, of_next_year: { any: 'thing' } }).kind, 'before_tool')
  for (const bad of [
    null,
    [],
    'text',
    { ...good, session_id: 'a/b' },
    { ...good, session_id: 'x'.repeat(65) },
    { ...good, session_id: undefined },
    { ...good, cwd: '' },
    { ...good, hook_event_name: 7 },
    { ...good, tool_name: 'two words' },
    { ...good, tool_use_id: undefined },
    { ...good, agent_id: 'a\nb' },
  ]) {
    throws(
      () => readers.claude(bad),
      (error: { code?: string }) => error.code === 'INVALID_INPUT',
      JSON.stringify(bad),
    )
  }
})

reading('of a patch: a header is found however it is indented, and text in a line is none', () => {
  equal(pathsOfPatch('  *** Update File: a b.txt \r\n+*** Add File: no\n'), ['a b.txt'])
  is(pathsOfPatch('say *** Add File: no'), undefined)
})

const forms = suite('the answers that harnesses take')

forms('deny only before a tool, and only in the form of the harness', () => {
  const denied = Object.fromEntries(
    harnessNames.map((harness) => {
      const { name } = read(harness, 'before-edit')
      ok(isBefore(harness, name))
      is(written(harness, read(harness, 'after-edit').name, { kind: 'deny', text: 'why' }), undefined)
      return [harness, written(harness, name, { kind: 'deny', text: 'why' })]
    }),
  )
  const shaped = {
    hookSpecificOutput: { hookEventName: 'PreToolUse', permissionDecision: 'deny', permissionDecisionReason: 'why' },
  }
  equal(denied, {
    claude: shaped,
    codex: shaped,
    cursor: { permission: 'deny', agent_message: 'why' },
    gemini: { decision: 'deny', reason: 'why' },
  })
})

forms('tell the model something at the start of a session and after a tool', () => {
  for (const event of ['session-start', 'after-edit']) {
    for (const harness of harnessNames) {
      const { name } = read(harness, event)
      const form = written(harness, name, { kind: 'tell', text: 'more' })
      const shaped = { hookSpecificOutput: { hookEventName: name, additionalContext: 'more' } }
      equal(form, harness === 'cursor' ? { additional_context: 'more' } : shaped)
    }
  }
  is(written('claude', 'PreToolUse', { kind: 'tell', text: 'more' }), undefined)
})

reading.run()
forms.run()
