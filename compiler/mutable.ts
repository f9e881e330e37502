/** A value under construction: its own fields may be set until it is handed out. */
export type Mutable<Of> = { -readonly [Key in keyof Of]: Of[Key] };
