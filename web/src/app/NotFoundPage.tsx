import { t } from '@/text';
import { NotThere } from '@/ui';

export function NotFoundPage() {
  return <NotThere>{t('error.pageHint')}</NotThere>;
}
