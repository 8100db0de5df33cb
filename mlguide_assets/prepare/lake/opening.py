"""Which stores a lake is kept in, by its address; what object storage needs is imported for such a lake alone."""

from mlguide_assets.prepare.lake.local_files import LocalFiles
from mlguide_assets.prepare.lake.pointers import LocalPointers
from mlguide_assets.prepare.lake.stores import FileStore, PointerStore
from mlguide_assets.settings import LakePlace


def open_stores(place: LakePlace) -> tuple[PointerStore, FileStore]:
    """The pointers and the data files of a lake; nothing is looked up yet."""
    if place.address is None:
        return LocalPointers(place.root), LocalFiles(place.root)
    from mlguide_assets.prepare.lake.bucket import Bucket
    from mlguide_assets.prepare.lake.remote_files import RemoteFiles
    from mlguide_assets.prepare.lake.remote_pointers import RemotePointers

    bucket = Bucket(place.address)
    return RemotePointers(bucket, place.root), RemoteFiles(bucket, place.root)
