import { Button } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { t } from '@/text';
import { requestId, sentence } from './problem';
import css from './ui.module.css';

interface Props {
  error: unknown;
  retry?: () => void;
}

/** What went wrong, what to do about it, and what an administrator can look it up by. */
export function ErrorNotice({ error, retry }: Props) {
  if (!error) return null;
  const id = requestId(error);
  return (
    <div className={css.notice} role="alert">
      <IconAlertTriangle size={18} aria-hidden />
      <div className={css.noticeBody}>
        <p>{sentence(error)}</p>
        {id && <p className={css.requestId}>{t('error.requestId', { id })}</p>}
      </div>
      {retry && <Button onClick={retry}>{t('common.retry')}</Button>}
    </div>
  );
}
