import { canonicalText, type Json } from '../../kernel/canonical.ts'

/**
 * How two values differ, one line a place: the path, and what was added to it, removed from it, or replaced. Items of
 * lists are compared as a set, so a changed order is no change.
 */
export function memberChanges(before: unknown, after: unknown, path = ''): string[] {
  if (textOf(before) === textOf(after)) return []
  if (Array.isArray(before) && Array.isArray(after)) return listChanges(before, after, path)
  if (!isObject(before) || !isObject(after)) return [`${path}: ${textOf(before)} became ${textOf(after)}`]
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()
  return names.flatMap((name) => {
    const [old, now] = [before, after].map((value) => (Object.hasOwn(value, name) ? value[name] : undefined))
    const place = path === '' ? name : `${path}.${name}`
    const isList = [old, now].some(Array.isArray)
    return isList ? memberChanges(old ?? [], now ?? [], place) : memberChanges(old, now, place)
  })
}

function listChanges(before: readonly unknown[], after: readonly unknown[], path: string): string[] {
  const [old, now] = [before, after].map((items) => items.map(textOf)) as [string[], string[]]
  return [
    ...now.filter((item) => !old.includes(item)).map((item) => `${path}: added ${item}`),
    ...old.filter((item) => !now.includes(item)).map((item) => `${path}: removed ${item}`),
  ]
}

function textOf(value: unknown): string {
  if (value === undefined) return 'nothing'
  return typeof value === 'string' ? value : canonicalText(value as Json)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
