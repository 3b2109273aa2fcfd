import { type Code, codes } from '../errors.ts'
import type { CallFacts } from './facts.ts'
import { type Flag, shownName } from './flags.ts'

/** What the help says of an option: meaning, values, bounds, default, and with which forms it goes. */
export function helpOf(flag: Flag, flags: readonly Flag[], formCount: number): string {
  const { choices, fallback, forms, notes } = flag
  const about = flag.about.replace(/`([^`]+)`/g, (_, member: string) => shownName(flags, member))
  const facts = [
    ...(choices === undefined ? [] : [`one of: ${choices.join(', ')}`]),
    ...notes.filter((note) => fallback === undefined || !note.startsWith('default: ')),
    ...(fallback === undefined ? [] : [`default: ${fallback}`]),
    ...(flag.requiredIn.length === formCount ? [] : requiredText(flag, flags)),
  ]
  const first = `${about.charAt(0).toLowerCase()}${about.slice(1).replace(/\.$/, '')}`
  const isAlone = forms.length === 0 || forms.includes(flag.member)
  const where = isAlone ? '' : `with ${forms.map((form) => shownName(flags, form)).join(' or ')}: `
  return `${where}${first}${facts.length === 0 ? '' : ` (${facts.join('; ')})`}`
}

/** In which forms it is required. Commander marks what is always required. */
function requiredText({ forms, member, requiredIn }: Flag, flags: readonly Flag[]): string[] {
  const others = requiredIn.filter((form) => form !== member)
  if (others.length === 0 || requiredIn.includes(member)) return []
  const isEverywhere = forms.length > 0 && forms.every((form) => requiredIn.includes(form))
  return [isEverywhere ? 'required' : `required with ${others.map((form) => shownName(flags, form)).join(' or ')}`]
}

export function formsText(facts: CallFacts, flags: readonly Flag[]): string {
  const forms = Object.keys(facts.forms).filter((form) => flags.some(({ member }) => member === form))
  if (forms.length < 2) return ''
  return `\nExactly one of these is required: ${forms.map((form) => shownName(flags, form)).join(', ')}.`
}

/** The exit codes that the errors of an operation lead to, each with the codes. */
export function exitText(errors: readonly Code[], { exit }: { exit?: unknown }): string {
  const byExit = new Map<number, Code[]>()
  for (const code of errors) {
    const known = byExit.get(codes[code].exit) ?? []
    byExit.set(codes[code].exit, [...known, code])
  }
  const rows = [...byExit].sort(([left], [right]) => left - right)
  const lines = rows.map(([number, of]) => `  ${String(number).padEnd(3)} ${of.join(', ')}`)
  return `\nExit codes:\n  0   success${exit === undefined ? '' : ', unless stated above'}\n${lines.join('\n')}`
}
