// Inputs with their label, hint and error; the three belong together for whoever can't see them.

import { type InputHTMLAttributes, type ReactNode, type SelectHTMLAttributes, useId } from "react";
import { ApiError } from "../api/client";

interface Around {
  label: string;
  hint?: ReactNode;
  error?: string | undefined;
}

function Field({ label, hint, error, id, children }: Around & { id: string; children: ReactNode }) {
  return (
    <div className="field" data-wrong={error ? "" : undefined}>
      <label htmlFor={id}>{label}</label>
      {children}
      {error ? (
        <p className="field-error" id={`${id}-note`} role="alert">{error}</p>
      ) : hint ? (
        <p className="hint" id={`${id}-note`}>{hint}</p>
      ) : null}
    </div>
  );
}

export function TextField({ label, hint, error, mono, ...rest }: Around & InputHTMLAttributes<HTMLInputElement> & { mono?: boolean }) {
  const id = useId();
  return (
    <Field label={label} hint={hint} error={error} id={id}>
      <input id={id} className={mono ? "mono" : undefined} aria-invalid={error ? true : undefined} aria-describedby={hint || error ? `${id}-note` : undefined}
        autoComplete="off" spellCheck={false} {...rest} />
    </Field>
  );
}

export function SelectField({ label, hint, error, children, ...rest }: Around & SelectHTMLAttributes<HTMLSelectElement>) {
  const id = useId();
  return (
    <Field label={label} hint={hint} error={error} id={id}>
      <select id={id} aria-describedby={hint || error ? `${id}-note` : undefined} {...rest}>{children}</select>
    </Field>
  );
}

export function Toggle({ label, hint, ...rest }: { label: string; hint?: string } & InputHTMLAttributes<HTMLInputElement>) {
  const id = useId();
  return (
    <div className="toggle">
      <input id={id} type="checkbox" role="switch" aria-describedby={hint ? `${id}-note` : undefined} {...rest} />
      <label htmlFor={id}>
        {label}
        {hint && <span className="hint" id={`${id}-note`}>{hint}</span>}
      </label>
    </div>
  );
}

/** What the server said of a field, or undefined. Its names may be paths: `sources[0].uri`. */
export function errorOf(error: unknown, ...fields: string[]): string | undefined {
  if (!(error instanceof ApiError) || !error.field) return undefined;
  return fields.includes(error.field.replace(/\[\d+\]/g, "")) || fields.includes(error.field) ? error.message : undefined;
}

/** What the server said that belongs to no field that is shown. */
export function FormError({ error, fields = [] }: { error: unknown; fields?: string[] }) {
  if (!(error instanceof Error) || errorOf(error, ...fields)) return null;
  const field = error instanceof ApiError && error.field ? `${error.field}: ` : "";
  return <p className="form-error" role="alert">{field}{error.message}</p>;
}
