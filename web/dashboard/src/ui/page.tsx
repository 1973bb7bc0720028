// How every page begins, and what it shows while there is nothing to show.

import type { LucideIcon } from "lucide-react";
import { type ReactNode, useEffect } from "react";
import { t } from "../text";

interface PageProps {
  title: string;
  /** Above the title: where this page belongs. */
  above?: ReactNode;
  beside?: ReactNode;
  note?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

export function Page({ title, above, beside, note, actions, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · ${t.product}`;
  }, [title]);
  return (
    <>
      <header className="page-head">
        <div className="page-title">
          {above && <div className="page-above">{above}</div>}
          <div className="page-name">
            <h1>{title}</h1>
            {beside}
          </div>
          {note && <p className="page-note">{note}</p>}
        </div>
        {actions && <div className="page-actions">{actions}</div>}
      </header>
      {children}
    </>
  );
}

export function Panel({ title, actions, note, children, className, id }: { title?: ReactNode; actions?: ReactNode; note?: ReactNode; children: ReactNode; className?: string; id?: string }) {
  return (
    <section className={`panel ${className ?? ""}`} id={id} {...(typeof title === "string" ? { "aria-label": title } : {})}>
      {(title || actions) && (
        <header className="panel-head">
          {title && <h2>{title}</h2>}
          {note && <p className="panel-note">{note}</p>}
          {actions && <div className="panel-actions">{actions}</div>}
        </header>
      )}
      {children}
    </section>
  );
}

export function Empty({ icon: Icon, title, body, action }: { icon: LucideIcon; title: string; body?: ReactNode; action?: ReactNode }) {
  return (
    <div className="empty">
      <Icon aria-hidden size={22} />
      <p className="empty-title">{title}</p>
      {body && <p className="empty-body">{body}</p>}
      {action}
    </div>
  );
}

/** Grey bars, so that nothing jumps when the answer comes. */
export function Loading({ rows = 4 }: { rows?: number }) {
  return (
    <div className="loading" role="status" aria-label={t.loading}>
      {Array.from({ length: rows }, (_, at) => <span key={at} />)}
    </div>
  );
}

export function Failed({ error }: { error: unknown }) {
  return <p className="form-error" role="alert">{error instanceof Error ? error.message : String(error)}</p>;
}
