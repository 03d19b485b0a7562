"""The AWS KMS keyrings of mpl-peer.py: how each is made from a request. Regions have a client each, of the environment's endpoint."""
import boto3
from aws_cryptographic_material_providers.mpl.models import (
    CreateAwsKmsDiscoveryKeyringInput,
    CreateAwsKmsDiscoveryMultiKeyringInput,
    CreateAwsKmsKeyringInput,
    CreateAwsKmsMrkDiscoveryMultiKeyringInput,
    CreateAwsKmsMrkMultiKeyringInput,
    CreateAwsKmsMultiKeyringInput,
    DiscoveryFilter,
)


def client(key):
    return boto3.client("kms", region_name=key["region"])


def discovery_filter(key):
    if "accounts" not in key:
        return None
    return DiscoveryFilter(account_ids=key["accounts"], partition=key["partition"])


def kms_keyrings(mpl):
    return {
        "kms": lambda key: mpl.create_aws_kms_keyring(
            CreateAwsKmsKeyringInput(kms_key_id=key["keyId"], kms_client=client(key))
        ),
        "kms-discovery": lambda key: mpl.create_aws_kms_discovery_keyring(
            CreateAwsKmsDiscoveryKeyringInput(kms_client=client(key), discovery_filter=discovery_filter(key))
        ),
        "kms-multi": lambda key: mpl.create_aws_kms_multi_keyring(
            CreateAwsKmsMultiKeyringInput(generator=key.get("generator"), kms_key_ids=key["keyIds"])
        ),
        "kms-mrk-multi": lambda key: mpl.create_aws_kms_mrk_multi_keyring(
            CreateAwsKmsMrkMultiKeyringInput(generator=key.get("generator"), kms_key_ids=key["keyIds"])
        ),
        "kms-discovery-multi": lambda key: mpl.create_aws_kms_discovery_multi_keyring(
            CreateAwsKmsDiscoveryMultiKeyringInput(regions=key["regions"], discovery_filter=discovery_filter(key))
        ),
        "kms-mrk-discovery-multi": lambda key: mpl.create_aws_kms_mrk_discovery_multi_keyring(
            CreateAwsKmsMrkDiscoveryMultiKeyringInput(regions=key["regions"], discovery_filter=discovery_filter(key))
        ),
    }
