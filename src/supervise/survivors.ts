/** How to treat processes that a command leaves running when it ends. */
export const survivorChoices = ['wait', 'kill', 'ignore'] as const
export type Survivors = (typeof survivorChoices)[number]
