/** Thrown by a check of the doctor: what it found is no failure. */
export class Warning extends Error {}
